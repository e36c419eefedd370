import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vite';

import { leaveOut } from './leave-out.js';
import { papers } from './papers.js';

export default defineConfig({
  plugins: [leaveOut(), papers()],
  define: { 'process.env.NODE_ENV': '"production"' },
  worker: { format: 'es' },
  build: {
    outDir: fileURLToPath(new URL('../src/tetkik/service/static/vendor/cornerstone', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    // Vite keeps the white space of a library; nobody reads this one.
    rolldownOptions: { output: { minify: true } },
    lib: { entry: 'src/index.js', formats: ['es'], fileName: () => 'cornerstone.js' },
  },
});
