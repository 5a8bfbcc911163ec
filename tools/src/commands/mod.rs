//! One file a command.

pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod rebuild;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod verify;
