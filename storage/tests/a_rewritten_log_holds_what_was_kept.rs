//! Random appends, rewritings, droppings, pins and restarts against a plain list of what must be there.

mod common;

use std::collections::BTreeMap;
use std::ops::Range;

use agenttracer_model::Position;
use agenttracer_storage::{
    Dropped, GapReason, Log, OpenError, ReadError, RewriteError, Rewriting, SegmentedLog, StoredBatch,
};
use common::{SIM_DIR, Sim, payload};
use proptest::prelude::*;

/// Keeps a batch unless its position is listed.
struct Without<'a>(&'a [u64]);

impl Rewriting for Without<'_> {
    fn keep(&mut self, batch: &StoredBatch) -> bool {
        !self.0.contains(&batch.position.get())
    }
}

/// What must be there: payload and records by position.
#[derive(Default)]
struct Model {
    there: BTreeMap<u64, (Vec<u8>, u32)>,
    gone: Vec<u64>,
    tail: u64,
}

impl Model {
    fn check(&self, sim: &Sim, log: &SegmentedLog) {
        let found: Vec<_> = log.scan(Position::ZERO..log.tail()).map(Result::unwrap).collect();
        assert_eq!(found.len(), self.there.len());
        for (batch, (position, (payload, records))) in found.iter().zip(&self.there) {
            assert_eq!((batch.position.get(), batch.records), (*position, *records));
            assert!(batch.payload[..] == payload[..], "batch {position}");
        }
        for (position, (payload, _)) in &self.there {
            assert!(log.read(Position::new(*position)).unwrap().payload[..] == payload[..], "batch {position}");
        }
        for gone in &self.gone {
            let position = Position::new(*gone);
            let read = log.read(position);
            let reason = GapReason::Dropped;
            assert!(
                matches!(read, Err(ReadError::Gone { position: at, reason: why }) if (at, why) == (position, reason))
            );
        }
        assert_eq!(log.tail().get(), self.tail);
        // From each position on, whether or not a batch begins there.
        for from in (0..self.tail).step_by(7) {
            let range = Position::new(from)..Position::new(self.tail.min(from + 20));
            let seen: Vec<_> = log.scan(range).map(|batch| batch.unwrap().position.get()).collect();
            assert!(seen.iter().eq(self.there.range(from..from + 20).map(|(position, _)| position)), "from {from}");
        }
        let live = sim.disk.files().iter().filter(|file| file.to_string_lossy().contains("seg")).count();
        assert_eq!(live, log.sealed().len() + 1, "{:?}", sim.disk.files());
    }

    fn drop_all(&mut self, positions: &[u64]) {
        for position in positions {
            if self.there.remove(position).is_some() {
                self.gone.push(*position);
            }
        }
    }
}

/// A range of sealed segments, chosen by two numbers.
fn choose(log: &SegmentedLog, a: usize, b: usize) -> Option<Range<Position>> {
    let sealed = log.sealed();
    let from = sealed.get(a % sealed.len().max(1))?;
    let rest = sealed.iter().filter(|segment| segment.entry.first >= from.entry.first);
    let to = rest.clone().nth(b % rest.count().clamp(1, 4))?;
    Some(from.entry.first..to.entry.end)
}

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<(usize, u32)>),
    Rewrite(usize, usize, u8),
    Seal,
    DropBefore(u8),
    Reopen(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let batch = (prop_oneof![0_usize..400, 400_usize..3000, 3000_usize..9000], 1_u32..4);
    prop_oneof![
        4 => prop::collection::vec(batch, 1..12).prop_map(Act::Append),
        4 => (any::<usize>(), any::<usize>(), any::<u8>()).prop_map(|(a, b, every)| Act::Rewrite(a, b, every)),
        1 => Just(Act::Seal),
        1 => any::<u8>().prop_map(Act::DropBefore),
        1 => any::<bool>().prop_map(Act::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_rewritten_and_dropped(acts in prop::collection::vec(act(), 1..40)) {
        let sim = Sim::new(1, 24 << 10);
        let (mut log, _) = sim.open().unwrap();
        let mut model = Model::default();
        for act in acts {
            match act {
                Act::Append(batches) => {
                    for (len, records) in batches {
                        let mut bytes = payload(model.tail, len);
                        // Half of each can be compressed.
                        bytes[..len / 2].fill(7);
                        let position = sim.append(&log, &bytes, records).unwrap().get();
                        prop_assert_eq!(position, model.tail);
                        model.there.insert(position, (bytes, records));
                        model.tail += u64::from(records);
                    }
                }
                Act::Rewrite(a, b, every) => {
                    let Some(range) = choose(&log, a, b) else { continue };
                    let positions = model.there.range(range.start.get()..range.end.get()).map(|(position, _)| *position);
                    let every = usize::from(every % 5) + 1;
                    let goes: Vec<_> = positions.clone().filter(|position| every < 5 && position % every as u64 == 0).collect();
                    let kept = positions.count() - goes.len();
                    let done = log.rewrite(range.clone(), &mut Without(&goes)).unwrap();
                    prop_assert_eq!((done.kept, done.dropped), (kept as u64, goes.len() as u64));
                    prop_assert_eq!(done.segment.entry.first..done.segment.entry.end, range);
                    model.drop_all(&goes);
                }
                Act::Seal => {
                    log.seal_active().unwrap();
                }
                Act::DropBefore(share) => {
                    let position = model.tail * u64::from(share) / 255;
                    let ends: Vec<_> = log.sealed().iter().map(|segment| segment.entry.end.get()).collect();
                    let cut = ends.into_iter().take_while(|end| *end <= position).last().unwrap_or(0);
                    log.drop_before(Position::new(position)).unwrap();
                    let goes: Vec<_> = model.there.range(..cut).map(|(position, _)| *position).collect();
                    model.drop_all(&goes);
                }
                Act::Reopen(clean) => {
                    if clean {
                        log.close().unwrap();
                    }
                    drop(log);
                    let (again, recovery) = sim.open().unwrap();
                    prop_assert!(recovery.damage.is_empty(), "{}", recovery);
                    log = again;
                }
            }
            model.check(&sim, &log);
        }
        log.close().unwrap();
        drop(log);
        let report = sim.verify();
        prop_assert!(report.is_sound() && report.strays.is_empty(), "{:?}", report);
        prop_assert_eq!(report.records(), model.there.values().map(|(_, records)| u64::from(*records)).sum::<u64>());
        prop_assert_eq!(report.batches(), model.there.len() as u64);
    }
}

/// A log of some sealed segments with 40 batches of one record each.
fn filled(sim: &Sim) -> std::sync::Arc<SegmentedLog> {
    let (log, _) = sim.open().unwrap();
    for i in 0..40 {
        let mut bytes = payload(i, 1000);
        bytes[..700].fill(7);
        sim.append(&log, &bytes, 1).unwrap();
    }
    log.seal_active().unwrap();
    log
}

fn all(log: &SegmentedLog) -> Range<Position> {
    Position::ZERO..log.sealed().last().unwrap().entry.end
}

#[test]
fn who_reads_an_old_segment_goes_on_with_it_and_sees_each_batch_once() {
    let sim = Sim::new(1, 16 << 10);
    let log = filled(&sim);
    let mut scan = log.scan(Position::ZERO..log.tail());
    let mut seen: Vec<_> = scan.by_ref().take(3).map(|batch| batch.unwrap().position.get()).collect();
    // The segment that is being read goes, and the next ones are merged with it.
    log.rewrite(all(&log), &mut Without(&[0, 20, 30])).unwrap();
    seen.extend(scan.map(|batch| batch.unwrap().position.get()));
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    let whole: Vec<_> = (0..40).filter(|position| ![20, 30].contains(position)).collect();
    assert_eq!(seen, whole);
}

#[test]
fn what_is_pinned_stays_on_disk_until_it_is_let_go() {
    let sim = Sim::new(1, 16 << 10);
    let log = filled(&sim);
    let pin = log.pin().unwrap();
    assert_eq!((pin.start, pin.sealed.clone(), pin.active.end), (Position::ZERO, log.sealed(), log.tail()));
    let before: Vec<_> = pin.sealed.iter().map(|segment| sim.disk.content(&segment.file).unwrap()).collect();
    let rewritten = log.rewrite(all(&log), &mut Without(&[1])).unwrap();
    log.rewrite(all(&log), &mut Without(&[2])).unwrap();
    for (segment, bytes) in pin.sealed.iter().zip(before) {
        assert_eq!(sim.disk.content(&segment.file), Some(bytes));
    }
    assert_eq!(sim.disk.content(&rewritten.segment.file), None, "nobody pinned what came in between");
    let files: Vec<_> = pin.sealed.iter().map(|segment| segment.file.clone()).collect();
    drop(pin);
    for file in files {
        assert_eq!(sim.disk.content(&file), None);
    }
    assert_eq!(log.scan(Position::ZERO..log.tail()).count(), 38);
}

#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    let sim = Sim::new(1, 16 << 10);
    let log = filled(&sim);
    let files = sim.disk.files();
    let mut refused = 0;
    for room in (0..24 << 10).step_by(1 << 10) {
        sim.disk.set_capacity(Some(sim.disk.used() + room));
        match log.rewrite(all(&log), &mut Without(&[])) {
            Err(RewriteError::DiskFull) => refused += 1,
            other => panic!("{other:?}"),
        }
        let now: Vec<_> = sim.disk.files().into_iter().filter(|file| !file.ends_with("reserve")).collect();
        let before: Vec<_> = files.iter().filter(|file| !file.ends_with("reserve")).cloned().collect();
        assert_eq!(now, before, "with room for {room} bytes");
        assert_eq!(log.scan(Position::ZERO..log.tail()).filter(Result::is_ok).count(), 40);
        if refused > 3 {
            break;
        }
    }
    sim.disk.set_capacity(None);
    log.rewrite(all(&log), &mut Without(&[])).unwrap();
    log.close().unwrap();
    assert!(sim.verify().is_sound());
}

#[test]
fn damage_is_never_rewritten_away_unless_it_is_declared_as_lost() {
    struct Declare;
    impl Rewriting for Declare {
        fn keep(&mut self, _: &StoredBatch) -> bool {
            true
        }
        fn declare_lost(&mut self, _: &agenttracer_storage::Damage) -> bool {
            true
        }
    }
    let sim = Sim::new(1, 16 << 10);
    let log = filled(&sim);
    let segment = log.sealed()[1].clone();
    sim.disk.flip_bit(&segment.file, 4096 + 72 + 500, 3);
    let range = segment.entry.first..segment.entry.end;
    let lost = segment.entry.first;
    let refused = log.rewrite(range.clone(), &mut Without(&[]));
    assert!(matches!(&refused, Err(RewriteError::Damaged(damage)) if damage.positions.start == lost), "{refused:?}");
    assert!(matches!(log.read(lost), Err(ReadError::Damaged(_))));
    let rewritten = log.rewrite(range, &mut Declare).unwrap();
    assert_eq!((rewritten.lost, rewritten.dropped), (1, 0));
    // It is told for ever, through further rewritings too.
    log.rewrite(all(&log), &mut Without(&[3])).unwrap();
    assert!(matches!(log.read(lost), Err(ReadError::Gone { reason: GapReason::Lost, .. })));
    assert_eq!(log.scan(Position::ZERO..log.tail()).filter(Result::is_ok).count(), 38);
    log.close().unwrap();
    drop(log);
    let report = sim.verify();
    assert!(report.is_sound(), "{:?}", report.damage);
    assert_eq!(report.lost, [lost..lost.advance(1)]);
}

#[test]
fn a_rewriting_stops_when_it_is_told_to_and_the_log_stays() {
    struct Stop(u32);
    impl Rewriting for Stop {
        fn keep(&mut self, _: &StoredBatch) -> bool {
            true
        }
        fn pace(&mut self, _: u64) -> bool {
            self.0 -= 1;
            self.0 > 0
        }
    }
    let sim = Sim::new(1, 16 << 10);
    let log = filled(&sim);
    let files = sim.disk.files();
    assert!(matches!(log.rewrite(all(&log), &mut Stop(5)), Err(RewriteError::Stopped)));
    assert_eq!(sim.disk.files(), files);
    let half = Position::ZERO..Position::new(1);
    assert!(
        matches!(log.rewrite(half.clone(), &mut Without(&[])), Err(RewriteError::NotSealed(range)) if range == half)
    );
    log.close().unwrap();
    assert!(matches!(log.rewrite(all(&log), &mut Without(&[])), Err(RewriteError::Closed)));
    assert!(matches!(log.drop_before(Position::new(9)), Err(RewriteError::Closed)));
}

#[test]
fn a_log_of_which_everything_was_dropped_opens_and_goes_on() {
    let sim = Sim::new(1, 16 << 10);
    let log = filled(&sim);
    let segments = log.sealed().len();
    let dropped = log.drop_before(log.tail()).unwrap();
    assert_eq!(dropped.segments, segments);
    assert_eq!(log.drop_before(log.tail()).unwrap(), Dropped::default());
    assert_eq!(log.scan(Position::ZERO..log.tail()).count(), 0);
    assert!(matches!(log.read(Position::ZERO), Err(ReadError::Gone { reason: GapReason::Dropped, .. })));
    log.close().unwrap();
    drop(log);
    let report = sim.verify();
    assert!(report.is_sound(), "{:?}", report.damage);
    assert_eq!((report.start, report.records(), report.tail()), (Position::new(40), 0, Position::new(40)));
    let (log, recovery) = sim.open().unwrap();
    assert!(recovery.clean && recovery.damage.is_empty(), "{recovery}");
    assert_eq!(sim.append(&log, b"again", 1).unwrap(), Position::new(40));
}

#[test]
fn a_listed_file_that_is_missing_costs_no_other_file() {
    let sim = Sim::new(1, 16 << 10);
    let log = filled(&sim);
    let old = log.sealed()[0].clone();
    let pin = log.pin().unwrap();
    let new = log.rewrite(old.entry.first..old.entry.end, &mut Without(&[])).unwrap().segment;
    log.close().unwrap();
    drop(pin);
    drop(log);
    // The old generation is still there, unlisted; the new one disappears.
    let content = sim.disk.content(&new.file).unwrap();
    let disk = std::path::Path::new(SIM_DIR);
    agenttracer_storage::disk::Disk::remove(&sim.disk, &new.file).unwrap();
    let refused = sim.open();
    assert!(matches!(refused, Err(OpenError::Damaged(damage)) if damage.file == new.file));
    assert!(sim.disk.content(&old.file).is_some(), "{}", disk.display());
    // When it is back, the old one goes.
    let file = agenttracer_storage::disk::Disk::create(&sim.disk, &new.file).unwrap();
    file.write_all_at(&content, 0).unwrap();
    assert_eq!(sim.verify().strays, std::slice::from_ref(&old.file));
    sim.open().unwrap();
    assert_eq!(sim.disk.content(&old.file), None);
}
