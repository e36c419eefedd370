// Copies exact files of the locked packages to where they are served, each folder with the licence and a
// manifest of versions and hashes (the format is described in static/vendor/README.md).
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const TARGETS = [
  { name: 'htmx.org', files: { 'dist/htmx.min.js': 'htmx.min.js' }, to: '../src/tetkik/service/static/vendor/htmx' },
  { name: 'axe-core', files: { 'axe.min.js': 'axe.min.js' }, to: '../tests/service/vendor/axe-core' },
];

const lock = readFileSync(join(HERE, 'package-lock.json'));
const locked = JSON.parse(lock).packages;
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

for (const { name, files, to } of TARGETS) {
  const source = join(HERE, 'node_modules', name);
  const target = join(HERE, to);
  const about = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'));
  const integrity = locked[`node_modules/${name}`].integrity;
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const [from, as] of Object.entries(files)) copyFileSync(join(source, from), join(target, as));
  copyFileSync(join(source, 'LICENSE'), join(target, 'LICENSES.txt'));
  const written = readdirSync(target).sort();
  const manifest = {
    lock: sha256(lock),
    packages: [{ name, version: about.version, licence: about.license, integrity }],
    files: Object.fromEntries(written.map((file) => [file, sha256(readFileSync(join(target, file)))])),
  };
  writeFileSync(join(target, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}
