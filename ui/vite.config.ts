import tailwind from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** The theme is set by the first script; without this a dark page would flash white before it. */
const scriptBeforePaint: Plugin = {
  name: 'script-before-paint',
  transformIndexHtml: {
    order: 'post',
    handler: (html) => html.replace('<script type="module"', '<script type="module" blocking="render"'),
  },
};

/** All text is in these two; found in the styles alone they would come so late that it moves under the reader. */
const fontsAtOnce: Plugin = {
  name: 'fonts-at-once',
  transformIndexHtml: {
    order: 'post',
    handler: (html, { bundle }) => {
      const fonts = Object.keys(bundle ?? {}).filter((file) => file.endsWith('.woff2'));
      const links = fonts.map((file) => `    <link rel="preload" as="font" type="font/woff2" crossorigin href="/${file}" />\n`);
      return html.replace('    <script type="module"', `${links.join('')}    <script type="module"`);
    },
  },
};

/** Where `npm run dev` finds a server; a build has its API at its own origin. */
const server = process.env.AGENTTRACER_URL ?? 'http://127.0.0.1:8001';

export default defineConfig({
  plugins: [react(), tailwind(), fontsAtOnce, scriptBeforePaint],
  build: {
    target: 'es2022',
    // The content security policy allows no `data:`, so nothing may be inlined, however small.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    manifest: 'manifest.json',
    // Left alone, a page comes in up to twenty files, and on a slow network each waits for its turn. What pages share comes with
    // the first script, and a page is one file beside it.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: 'shared', minShareCount: 2 }] } } },
  },
  server: { proxy: Object.fromEntries(['/v1', '/health', '/metrics', '/openapi.json', '/docs'].map((path) => [path, server])) },
});
