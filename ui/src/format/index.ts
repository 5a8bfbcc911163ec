export * from './change.ts';
export * from './duration.ts';
export * from './number.ts';
export * from './time.ts';
