import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

/** Debian's Chromium; no browser is downloaded. */
const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  (path) => path !== undefined && existsSync(path),
);

export default defineConfig({
  testDir: 'tests/journeys',
  outputDir: 'test-results',
  // The machine of a test run is small, and one server answers all of its pages.
  workers: 1,
  timeout: 120_000,
  expect: {
    timeout: 15_000,
    toHaveScreenshot: {
      animations: 'disabled',
      caret: 'hide',
      // Half the pixels are enough to see what moved, and the history keeps every picture.
      scale: 'css',
      maxDiffPixelRatio: 0.002,
    },
  },
  snapshotPathTemplate: 'tests/journeys/pictures/{arg}{ext}',
  reporter: [['list'], ['./tests/closing-line.ts']],
  use: {
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    timezoneId: 'UTC',
    trace: 'retain-on-failure',
    launchOptions: { executablePath, args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb', '--font-render-hinting=none', '--disable-lcd-text'] },
  },
});
