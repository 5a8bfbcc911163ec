import './styles.css';

import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { startConnection } from './api/connection.ts';
import { newQueryClient } from './api/queries.ts';
import { startSession } from './api/session.ts';
import { startClock } from './app/clock.ts';
import { startKeys } from './app/keys.ts';
import { startPreferences } from './app/preferences.ts';
import { router } from './routes.tsx';

startPreferences();
startClock();
startKeys();
const queries = newQueryClient();
startConnection(queries);
startSession(queries);

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} context={{ queries }} />
    </QueryClientProvider>
  </StrictMode>,
);
