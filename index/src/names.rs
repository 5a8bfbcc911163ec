use std::sync::Arc;

/// How many names are kept; a power of two.
const CELLS: usize = 8192;

/// Shares the names that repeat from run to run (agents, versions, steps, codes).
///
/// A cache with one place for each hash: a name that meets another one in its place takes it. So it stays small
/// whatever is sent, and a name that is not found costs one allocation, as it would without the cache.
pub(crate) struct Names {
    cells: Box<[Option<Arc<str>>]>,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { cells: vec![None; CELLS].into() }
    }

    /// A shared copy of `text`.
    pub(crate) fn share(&mut self, text: &str) -> Arc<str> {
        let cell = &mut self.cells[fnv(text.as_bytes()) as usize % CELLS];
        match cell {
            Some(name) if **name == *text => Arc::clone(name),
            _ => Arc::clone(cell.insert(Arc::from(text))),
        }
    }
}

/// FNV-1a: names are short.
fn fnv(bytes: &[u8]) -> u64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_share_one_copy_and_other_names_stay_right() {
        let mut names = Names::new();
        let first = names.share("billing_api");
        assert!(Arc::ptr_eq(&first, &names.share("billing_api")));
        for n in 0..20_000 {
            assert_eq!(&*names.share(&format!("step-{n}")), format!("step-{n}"));
        }
        assert_eq!(&*names.share("billing_api"), "billing_api");
    }
}
