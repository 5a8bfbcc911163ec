use std::collections::BTreeMap;

use super::{Dice, SECTOR_LEN};

/// A change of a file's bytes.
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Change {
    /// The length that the file has at least afterwards.
    pub(super) fn end(&self) -> usize {
        match self {
            Self::Write { offset, bytes } => offset + bytes.len(),
            Self::SetLen(len) => *len,
        }
    }

    /// How many bytes it writes.
    pub(super) fn written(&self) -> usize {
        match self {
            Self::Write { bytes, .. } => bytes.len(),
            Self::SetLen(_) => 0,
        }
    }

    /// What is done of it when it breaks off after some bytes.
    pub(super) fn first(self, len: usize) -> Option<Self> {
        match self {
            Self::Write { offset, mut bytes } if len > 0 => {
                bytes.truncate(len);
                Some(Self::Write { offset, bytes })
            }
            Self::Write { .. } | Self::SetLen(_) => None,
        }
    }

    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
            Self::SetLen(len) => to.resize(*len, 0),
        }
    }
}

/// The bytes of a file, as they are read and as they would come through a power loss.
#[derive(Default)]
pub(super) struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// What leads from the durable bytes to the cached ones, oldest first.
    unsynced: Vec<Change>,
}

impl Content {
    pub(super) fn read(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Some of it reaches the disk, and all of it counts as written: a later sync has nothing to do. The cache may
    /// drop the pages, and then what is on the disk is read again.
    pub(super) fn fail_to_sync(&mut self, dice: &mut Dice) {
        self.durable = self.bytes_after_power_loss(dice);
        self.unsynced.clear();
        if dice.one_in(4) {
            let len = self.cached.len();
            self.cached.clone_from(&self.durable);
            self.cached.resize(len, 0);
        }
    }

    pub(super) fn damage(&mut self, change: impl FnOnce(&mut [u8])) {
        let before = self.cached.clone();
        change(&mut self.cached);
        for (at, (new, old)) in self.cached.iter().zip(before).enumerate() {
            if let (true, Some(durable)) = (*new != old, self.durable.get_mut(at)) {
                *durable = *new;
            }
        }
    }

    pub(super) fn after_power_loss(&self, dice: &mut Dice) -> Self {
        let durable = self.bytes_after_power_loss(dice);
        Self { cached: durable.clone(), durable, unsynced: Vec::new() }
    }

    /// Each sector holds what it was after some of the changes; the length is what it was after some of them.
    fn bytes_after_power_loss(&self, dice: &mut Dice) -> Vec<u8> {
        let all = self.unsynced.len();
        let fate = dice.below(5);
        let cut = dice.below(all + 1);
        // How many of the changes reached the length, and each sector.
        let length_reached = match fate {
            0 => 0,
            1 => all,
            2 => cut,
            3 => all,
            _ => dice.below(all + 1),
        };
        let mut reached: BTreeMap<usize, usize> = BTreeMap::new();
        let mut bytes = self.durable.clone();
        let mut len = bytes.len();
        for (n, change) in self.unsynced.iter().enumerate() {
            match change {
                Change::Write { offset, bytes: written } => {
                    let end = offset + written.len();
                    let mut at = *offset;
                    while at < end {
                        let sector = at / SECTOR_LEN;
                        let stop = end.min((sector + 1) * SECTOR_LEN);
                        let reached = *reached.entry(sector).or_insert_with(|| match fate {
                            0 => 0,
                            1 => all,
                            // In order, and the one at the cut is torn.
                            2 => cut + dice.below(2),
                            // The last ones first: what an earlier one changed is lost.
                            3 if n >= cut => all,
                            3 => 0,
                            _ => dice.below(all + 1),
                        });
                        if n < reached {
                            if bytes.len() < stop {
                                bytes.resize(stop, 0);
                            }
                            bytes[at..stop].copy_from_slice(&written[at - offset..stop - offset]);
                        }
                        at = stop;
                    }
                    if n < length_reached {
                        len = len.max(end);
                    }
                }
                Change::SetLen(to) if n < length_reached => {
                    bytes.truncate(*to);
                    len = *to;
                }
                Change::SetLen(_) => {}
            }
        }
        bytes.resize(len, 0);
        bytes
    }
}
