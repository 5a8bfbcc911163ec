//! Who may ask what: keys with scopes, the sessions of the dashboard, and what a request must show.
//!
//! Keys stand in one small file beside the log (`DATA_DIR/keys.json`), never in it; `docs/architecture.md` says why. A server
//! that runs looks at the file every second, so `agenttracer keys` needs no word with it.

mod file;
mod guard;
mod key;
mod rate;
pub(crate) mod routes;
mod sessions;

pub use file::{KeyError, KeyFile, Shown};
pub(crate) use file::{now, watch};
pub(crate) use guard::{Caller, Endpoints, Guard, Refused};
pub use key::{Action, Draft, Key, Keys};
