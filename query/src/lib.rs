//! The read side: filters, pages, cursors, aggregates, and its routes.
