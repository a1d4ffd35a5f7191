// How the client is built and tried out: one HTML file, hashed assets for ever, and an API that a Perch at 8000 answers.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

import { compress } from '../compress.js';

export default defineConfig({
  base: '/app/',
  plugins: [react(), compress()],
  build: {
    // Nothing inlined as data: the policy of the page allows none, and a hashed file is kept for a year.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 800,
  },
  server: { proxy: { '/graphql': { target: 'http://127.0.0.1:8000', ws: true } } },
});
