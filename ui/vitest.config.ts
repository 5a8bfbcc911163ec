import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['src/**/*.test.ts', 'src/**/*.test.tsx', 'tests/*.test.ts'], environment: 'node', restoreMocks: true },
});
