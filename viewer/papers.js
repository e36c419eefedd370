// What stands beside the bundle: the licences of everything in it, and a manifest of packages and hashes.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const SEEN = /^LICEN[CS]E(\.|-|$)/i;

/** The folder of the package (with its scope) that a module belongs to, below node_modules; or null. */
function packageOf(id) {
  const below = id.split('node_modules/').pop();
  if (below === id) return null;
  const parts = below.split('/');
  return parts.slice(0, below.startsWith('@') ? 2 : 1).join('/');
}

/** Name, version, licence and its text, of an installed package. */
function paperOf(name) {
  const folder = join(HERE, 'node_modules', name);
  const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => SEEN.test(entry));
  const text = file ? readFileSync(join(folder, file), 'utf8').trim() : null;
  const people = about.contributors ?? [about.author];
  const holders = people.map((person) => person?.name ?? person).join(', ');
  return { name, version: about.version, licence: about.license, holders, text };
}

/** The plugin for Vite: writes `LICENSES.txt` and `manifest.json`. */
export function papers() {
  let packages = [];
  return {
    name: 'papers',
    generateBundle(options, bundle) {
      const locked = JSON.parse(readFileSync(join(HERE, 'package-lock.json'), 'utf8')).packages;
      const shown = Object.values(bundle).flatMap((chunk) => Object.entries(chunk.modules ?? {}));
      const names = new Set(shown.filter(([, module]) => module.code).map(([id]) => packageOf(id)));
      names.delete(null);
      const list = [...names].sort().map(paperOf);
      const bare = list.filter((paper) => !paper.text).map((paper) => paper.name);
      const texts = list.map((paper) => {
        const text = paper.text ?? STANDARD[paper.licence]?.(paper.holders);
        if (!text) this.error(`${paper.name} has no licence text; add that of ${paper.licence} to papers.js`);
        return `${paper.name} ${paper.version} (${paper.licence})\n\n${text}\n`;
      });
      this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source: texts.join(`\n${'-'.repeat(78)}\n\n`) });
      if (bare.length) this.info(`without a licence file of their own: ${bare.join(', ')}`);
      packages = list.map(({ name, version, licence }) => ({
        name, version, licence, integrity: locked[`node_modules/${name}`].integrity,
      }));
    },
    writeBundle: {
      sequential: true,
      order: 'post',
      async handler(options) {
        const { writeFile } = await import('node:fs/promises');
        const files = Object.fromEntries(readdirSync(options.dir).filter((file) => file !== 'manifest.json').sort().map(
          (file) => [file, createHash('sha256').update(readFileSync(join(options.dir, file))).digest('hex')],
        ));
        const lock = createHash('sha256').update(readFileSync(join(HERE, 'package-lock.json'))).digest('hex');
        const manifest = { lock, packages, files };
        await writeFile(join(options.dir, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
      },
    },
  };
}

/** Texts for packages that name a standard licence and ship no copy of it. */
const STANDARD = {
  MIT: (holders) => `MIT License

Copyright (c) ${holders}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation
the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and
to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of
the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO
THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS
IN THE SOFTWARE.`,
};
