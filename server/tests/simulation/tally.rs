//! What happened in some stories: to see that enough does.

macro_rules! tally {
    ($($name:ident),* $(,)?) => {
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Tally { $(pub(crate) $name: u64),* }

        impl Tally {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Everything that is to be proved did happen.
            pub(crate) fn assert_rich(&self) {
                $(assert!(self.$name > 0, "nothing happened of {}: {self:?}", stringify!($name));)*
            }
        }
    };
}

tally! {
    lives,
    acknowledged,
    refused,
    failed,
    repeated_runs,
    rotations,
    index_commits,
    failed_index_commits,
    index_merges,
    kills,
    power_losses,
    crashes_while_opening,
    torn_tails,
    reopened,
    full,
    rebuilt_indexes,
    damaged,
    damage_refused,
    damage_named,
    damaged_indexes,
    erasures,
    planned_erasures,
    cut_off_erasures,
    completed_erasures,
    purged_erasures,
    refused_as_erased,
    proofs,
}
