//! Questions about speed, each answered beside a bare loop.
