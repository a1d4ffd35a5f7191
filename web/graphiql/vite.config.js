// How the page is built: one HTML file, and hashed assets that the browser may keep for ever.
import { defineConfig } from 'vite';

import { compress } from '../compress.js';

export default defineConfig({
  // The HTML answers at /graphql and its assets under /graphiql/, so relative addresses would miss them.
  base: '/graphiql/',
  plugins: [compress()],
  build: {
    // Monaco is one big editor; splitting it would only add requests.
    chunkSizeWarningLimit: 8000,
    rolldownOptions: {
      onwarn(warning, warn) {
        // 'use client' in libraries speaks to server rendering, of which there is none here.
        if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') warn(warning);
      },
    },
  },
  worker: { format: 'es' },
});
