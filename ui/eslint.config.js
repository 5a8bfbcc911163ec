import { defineConfig } from 'eslint/config';
import hooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['dist/', 'node_modules/', 'src/api/schema.d.ts', 'test-results/'] },
  tseslint.configs.strictTypeChecked,
  hooks.configs.flat.recommended,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ['eslint.config.js'] } } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // A thrown redirect or not-found is how the router is told.
      '@typescript-eslint/only-throw-error': 'off',
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  { files: ['**/*.mjs', '*.config.js'], extends: [tseslint.configs.disableTypeChecked] },
  // In Playwright's fixtures `use` is no hook.
  { files: ['tools/**', 'tests/**'], rules: { 'no-console': 'off', 'react-hooks/rules-of-hooks': 'off' } },
);
