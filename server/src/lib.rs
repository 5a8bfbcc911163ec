//! Puts the halves together: configuration, listeners, metrics, shutdown.
