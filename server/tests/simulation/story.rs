//! The lives of one data directory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agenttracer_erasure::{EraseError, Wanted, prove};
use agenttracer_index::{Count, Filter, PageRequest, Snapshot};
use agenttracer_model::{Digest, Position, Run, RunView, Timestamp, sample};
use agenttracer_storage::disk::sim::Call;
use agenttracer_storage::disk::{Clock, Disk, SimClock, SimDisk};
use agenttracer_storage::log_record::{self, LogRecord};
use agenttracer_storage::{
    AppendError, BatchKind, Health, Log, Options, ReadError, StoredBatch, SubmitError, SyncMode, record,
};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use crate::engine::{DIR, Engine, INDEX, Refusal};
use crate::model::{Expected, Id, Model, Outcome, Tickets};
use crate::tally::Tally;

/// What happened in a story, for who must understand why it failed.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<(u64, VecDeque<String>)>>);

impl Diary {
    const LINES: usize = 400;

    pub(crate) fn note(&self, line: String) {
        let mut diary = self.0.lock().unwrap();
        diary.0 += 1;
        if diary.1.len() == Self::LINES {
            diary.1.pop_front();
        }
        let number = diary.0;
        diary.1.push_back(format!("    step {number}: {line}\n"));
    }

    /// How many steps there were.
    pub(crate) fn steps(&self) -> u64 {
        self.0.lock().unwrap().0
    }

    /// The last of them.
    pub(crate) fn last_words(&self) -> String {
        let lines = &self.0.lock().unwrap().1;
        let all = std::env::var_os("AGENTTRACER_SIM_SEED").is_some();
        lines.iter().skip(if all { 0 } else { lines.len().saturating_sub(25) }).map(String::as_str).collect()
    }
}

macro_rules! note {
    ($story:expr, $($text:tt)*) => { $story.diary.note(format!($($text)*)) };
}
pub(crate) use note;

pub(crate) struct Story {
    pub(crate) dice: SmallRng,
    pub(crate) disk: SimDisk,
    pub(crate) clock: SimClock,
    pub(crate) log_options: Options,
    pub(crate) index_options: agenttracer_index::Options,
    pub(crate) model: Model,
    pub(crate) tally: Tally,
    pub(crate) diary: Diary,
    /// The writer epoch of the last life.
    epoch: u64,
    /// Seeds of runs that were sent.
    runs: u64,
    /// Calls were made to fail since the disk was last well.
    pub(crate) troubled: bool,
    /// A sync failed on this disk: what was not synced may be lost without a crash.
    lost_pages: bool,
    /// Acknowledged in this life.
    promised: Vec<(Position, Id)>,
    /// Whether runs are erased in this story. Then nothing is damaged in it: what damage costs is told by stories in which
    /// nothing goes on purpose.
    erases: bool,
    /// Erased in this life: where the log says so.
    promised_erased: Vec<(Position, Uuid)>,
    /// As `cached`, of erasures.
    cached_erased: Vec<Uuid>,
    /// Acknowledged in a life that ended without a loss of power: must be found, unless one comes first.
    cached: Vec<(Position, Id)>,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Drop,
    Kill,
    PowerLoss,
}

impl Story {
    pub(crate) fn new(seed: u64, diary: Diary) -> Self {
        let mut dice = SmallRng::seed_from_u64(seed);
        let sync = match dice.random_range(0..3) {
            0 => SyncMode::Interval(Duration::from_millis(50)),
            _ => SyncMode::Always,
        };
        let log_options = Options {
            sync,
            segment_bytes: *[16 << 10, 24 << 10, 32 << 10, 64 << 10].choose(&mut dice).unwrap(),
            max_group_bytes: *[4 << 10, 16 << 10, 1 << 20].choose(&mut dice).unwrap(),
            queue_batches: *[4, 64].choose(&mut dice).unwrap(),
            queue_bytes: 64 << 10,
            known_durable: None,
            new_log_id: Uuid::from_u128(u128::from(seed) + 1),
        };
        let index_options = agenttracer_index::Options {
            hot_bytes: *[24 << 10, 1 << 20].choose(&mut dice).unwrap(),
            writer_heap_bytes: 15_000_000,
            ..agenttracer_index::Options::default()
        };
        Self {
            disk: SimDisk::new(dice.random()),
            erases: dice.random_bool(0.4),
            dice,
            clock: SimClock::new(Timestamp::from_micros(1_763_800_000_000_000)),
            log_options,
            index_options,
            model: Model::default(),
            tally: Tally::default(),
            diary,
            epoch: 0,
            runs: 0,
            troubled: false,
            lost_pages: false,
            promised: Vec::new(),
            promised_erased: Vec::new(),
            cached_erased: Vec::new(),
            cached: Vec::new(),
        }
    }

    /// Tells it to the end; returns what happened, and what tells its disk calls from others.
    pub(crate) fn tell(mut self) -> (Tally, u64) {
        for _ in 0..self.dice.random_range(2..6) {
            self.live();
        }
        self.live_well();
        if self.dice.random_bool(0.5) && !self.erases {
            self.suffer_damage();
        }
        (self.tally, self.disk.trace())
    }

    pub(crate) fn open_engine(&self) -> Result<Engine, Refusal> {
        Engine::open(&self.disk, &self.clock, &self.log_options, &self.index_options)
    }

    /// One life: the directory is opened, used, and the life ends in some way.
    fn live(&mut self) {
        self.tally.lives += 1;
        if self.dice.random_bool(0.05) {
            self.delete_index();
        }
        if self.dice.random_bool(0.15) {
            self.disk.crash_at_change(self.dice.random_range(0..60));
        }
        if self.dice.random_bool(0.1) {
            self.order_failure();
        }
        let engine = match self.open_engine() {
            Ok(engine) => engine,
            Err(Refusal::Io(what)) if self.disk.has_crashed() => {
                note!(self, "the power fails while it is opened: {what}");
                self.tally.crashes_while_opening += 1;
                self.lose_power();
                return;
            }
            Err(Refusal::Io(what)) if self.troubled => {
                note!(self, "it does not open: {what}");
                // The next one to try is another process, or finds the power was cut.
                self.make_well();
                match self.dice.random_range(0..3) {
                    0 => self.lose_power(),
                    1 => self.disk = self.disk.restart_process(),
                    _ => {}
                }
                self.troubled = false;
                return;
            }
            Err(refusal) => panic!("it did not open: {refusal}"),
        };
        note!(self, "opened: {}", engine.recovery);
        self.tally.torn_tails += u64::from(engine.recovery.cut.is_some());
        assert_eq!(engine.recovery.damage, [], "nothing was damaged");
        assert!(engine.recovery.epoch > self.epoch, "a second life with the writer epoch {}", self.epoch);
        self.epoch = engine.recovery.epoch;
        let tickets = Tickets::default();
        self.complete_erasures(&engine);
        if self.check_all(&engine) {
            for _ in 0..self.dice.random_range(5..50) {
                if self.disk.has_crashed() {
                    break;
                }
                self.act(&engine, &tickets);
                self.hear(Some(&engine), &tickets);
            }
        }
        self.end(engine, &tickets);
    }

    fn act(&mut self, engine: &Engine, tickets: &Tickets) {
        match self.dice.random_range(0..100) {
            25..30 if self.erases => self.erase(engine, tickets),
            82..85 if self.erases => self.purge(engine),
            0..30 => {
                for _ in 0..self.dice.random_range(1..6) {
                    self.submit(engine, tickets);
                }
            }
            30..50 => {
                // It was the clock's turn to reopen a poisoned log.
                if matches!(engine.log.health(), Health::Poisoned(_)) && self.dice.random_bool(0.5) {
                    self.clock.advance(6000);
                }
                let before = engine.log.health();
                for _ in 0..self.dice.random_range(1..4) {
                    engine.log.step();
                }
                let after = engine.log.health();
                note!(self, "the log steps: tail {}, {after:?}", engine.log.tail());
                self.tally.full += u64::from(before != after && after == Health::DiskFull);
                self.tally.reopened +=
                    u64::from(matches!(before, Health::Poisoned(_)) && !matches!(after, Health::Poisoned(_)));
            }
            50..65 => {
                let groups = self.dice.random_range(1..4);
                let applied = (0..groups).take_while(|_| engine.index.apply_step()).count();
                note!(self, "{applied} groups are applied, up to {}", engine.index.snapshot().position());
            }
            65..73 => self.commit_index(engine),
            73..76 => {
                let merged = engine.index.merge_step();
                note!(self, "the index merges: {merged:?}");
                match merged {
                    Ok(()) => self.tally.index_merges += 1,
                    Err(error) => assert!(self.is_troubled(), "{error}"),
                }
            }
            76..80 => self.read_one(engine),
            80..82 => drop(self.check_now(engine)),
            82..86 => {
                let ms = if self.dice.random_bool(0.3) { 10_000 } else { self.dice.random_range(0..200) };
                self.clock.advance(ms);
            }
            86 => drop(engine.log.sync()),
            87..91 => self.order_failure(),
            91..93 => {
                let more = self.dice.random_range(0..60 << 10);
                note!(self, "{more} bytes are left on the disk");
                self.disk.set_capacity(Some(self.disk.used() + more));
                self.troubled = true;
            }
            93..95 => {
                let calls = self.dice.random_range(0..40);
                note!(self, "the power will fail in {calls} calls");
                self.disk.crash_at_change(calls);
            }
            95 => self.clock.set(Timestamp::from_micros(self.dice.random_range(0..1 << 51))),
            _ => {
                self.make_well();
                self.expect_to_recover(engine, tickets);
            }
        }
    }

    /// A run that was never sent, or, now and then, another content under an id that was.
    fn run(&mut self) -> Run {
        if self.model.len() > 0 && self.dice.random_bool(0.04) {
            self.tally.repeated_runs += 1;
            let mut run = self.model.again(self.dice.random_range(0..self.model.len()));
            run.steps.truncate(self.dice.random_range(0..9));
            return run;
        }
        self.runs += 1;
        let mut run = sample::run(self.runs);
        // As ids of version 4, though the sample's say nothing of the story.
        run.run_id = Uuid::from_u128(self.dice.random());
        // Several runs of one instant, so that the order by id counts.
        if self.dice.random_bool(0.2) {
            run.started_at = sample::FIRST_START;
        }
        run.steps.truncate(self.dice.random_range(0..9));
        if self.dice.random_bool(0.5) {
            run.decisions.clear();
            run.quality_signals.clear();
        }
        run
    }

    fn submit(&mut self, engine: &Engine, tickets: &Tickets) {
        if !engine.index.has_room() {
            self.tally.refused += 1;
            return;
        }
        let run = self.run();
        let (id, batch) = self.model.send(run, self.clock.now());
        let answer = engine.log.submit(batch, tickets.issue(id));
        note!(self, "batch {id} of run {} is sent: {answer:?}", self.model.run_id(id));
        if let Err(error) = answer {
            tickets.withdraw(id);
            self.model.is_absent(id);
            self.tally.refused += 1;
            let fits = match error {
                SubmitError::Busy => true,
                SubmitError::DiskFull | SubmitError::Poisoned => self.is_troubled(),
                SubmitError::TooLarge | SubmitError::OverLimit | SubmitError::Dead | SubmitError::Closed => false,
            };
            assert!(fits, "{error} without a reason");
        }
    }

    /// Erases some runs, those that are there and others.
    fn erase(&mut self, engine: &Engine, tickets: &Tickets) {
        if self.model.len() == 0 {
            return;
        }
        let wanted: BTreeSet<Uuid> = (0..self.dice.random_range(1..8))
            .map(|_| self.model.run_id(self.dice.random_range(0..self.model.len())))
            .collect();
        let run_ids: Vec<_> = wanted.iter().copied().collect();
        // One that is still on its way is not there yet, and not erased.
        let before = engine.index.snapshot();
        let is_known = |run_id: &&Uuid| before.known(**run_id).unwrap_or_else(|error| panic!("{error}")).is_some();
        let known: Vec<_> = wanted.iter().filter(is_known).copied().collect();
        drop(before);
        let fresh: Vec<_> = wanted.iter().copied().filter(|run_id| self.model.may_be_erased.insert(*run_id)).collect();
        let outcome = match run_ids[..] {
            [run_id] if self.dice.random_bool(0.5) => engine.eraser.erase_run(run_id),
            _ => engine.eraser.erase(&Wanted { run_ids, ..Wanted::default() }),
        };
        let snapshot = engine.index.snapshot();
        if matches!(outcome, Ok(_) | Err(EraseError::NotFound | EraseError::Before(_))) {
            // Those that were not there then are not erased later.
            for run_id in fresh.iter().filter(|run_id| !snapshot.erased().has(**run_id)) {
                self.model.may_be_erased.remove(run_id);
            }
        }
        match outcome {
            Ok(erasure) => {
                note!(self, "{} runs are erased, as {}: {wanted:?}", erasure.erased, erasure.id);
                self.tally.erasures += 1;
                self.tally.planned_erasures += u64::from(erasure.is_planned);
                let hidden = erasure.hidden.expect("it is hidden when it is answered");
                for run_id in known {
                    let found = snapshot.find(run_id).unwrap_or_else(|error| panic!("{error}"));
                    assert_eq!(found, None, "run {run_id} was erased, and is shown");
                    assert!(snapshot.erased().has(run_id), "run {run_id} is gone without a tombstone");
                    self.promised_erased.push((hidden.position, run_id));
                }
            }
            Err(EraseError::NotFound | EraseError::Before(_)) => note!(self, "nothing is there to be erased"),
            Err(error) => {
                note!(self, "an erasure fails: {error}");
                self.tally.cut_off_erasures += 1;
                assert!(self.excuses(engine, &error), "{error}");
            }
        }
        self.hear(Some(engine), tickets);
    }

    /// Goes on with what a crash cut off, as a server does when it starts.
    fn complete_erasures(&mut self, engine: &Engine) {
        match engine.eraser.complete() {
            Ok(completed) => self.tally.completed_erasures += completed as u64,
            Err(error) => {
                note!(self, "an erasure is not completed: {error}");
                assert!(self.excuses(engine, &error), "{error}");
            }
        }
        engine.apply_all();
    }

    fn purge(&mut self, engine: &Engine) {
        let mut pieces = self.dice.random_range(0..200);
        let outcome = engine.purger.step(&mut |_| {
            pieces -= 1;
            pieces > 0
        });
        note!(self, "a purge: {outcome:?}");
        match outcome {
            Ok(purged) => self.tally.purged_erasures += purged.erasures as u64,
            Err(error) => assert!(self.excuses(engine, &error), "{error}"),
        }
    }

    /// Whether an erasure may fail so.
    fn excuses(&self, engine: &Engine, error: &EraseError) -> bool {
        let is_busy = matches!(error, EraseError::Submit(SubmitError::Busy));
        is_busy || self.is_troubled() || self.lost_pages || engine.log.health() != Health::Writable
    }

    fn commit_index(&mut self, engine: &Engine) {
        let before = engine.index.status();
        engine.index.commit_step();
        let after = engine.index.status();
        note!(self, "the index commits: up to {}, failed {}", after.checkpoint, after.failed_commits);
        self.tally.index_commits += after.commits - before.commits;
        if after.failed_commits > before.failed_commits {
            self.tally.failed_index_commits += 1;
            // In interval mode the log may have to stay closed: then nothing can be made durable any more.
            assert!(self.is_troubled() || self.lost_pages, "{:?}", after.last_error);
        }
        assert!(after.checkpoint >= before.checkpoint, "the checkpoint goes back");
        assert!(after.checkpoint <= engine.log.durable(), "the index covers what a power loss could take");
    }

    fn order_failure(&mut self) {
        let call = *[Call::Read, Call::Write, Call::Write, Call::Sync, Call::Sync, Call::SyncDir, Call::Name]
            .choose(&mut self.dice)
            .unwrap();
        let nth = self.dice.random_range(0..20);
        note!(self, "{call:?} number {nth} from now on will fail");
        self.disk.fail(call, nth);
        self.troubled = true;
        if call == Call::Sync {
            self.lost_pages = true;
            // What recovers from it may be cut off in turn.
            if self.dice.random_bool(0.3) {
                self.disk.crash_at_change(self.dice.random_range(2..60));
            }
        }
    }

    fn delete_index(&mut self) {
        let files: Vec<_> = self.disk.files().into_iter().filter(|path| path.starts_with(INDEX)).collect();
        if files.is_empty() {
            return;
        }
        note!(self, "somebody deletes the index");
        self.tally.rebuilt_indexes += 1;
        for file in files {
            // An ordered crash may come in between.
            if self.disk.remove(&file).is_err() {
                return;
            }
        }
    }

    /// Whether a disk call may fail now.
    pub(crate) fn is_troubled(&self) -> bool {
        self.troubled || self.disk.has_crashed()
    }

    pub(crate) fn make_well(&mut self) {
        self.disk.fail_no_more();
        self.disk.set_capacity(None);
    }

    /// With a disk that works and has space, log and index go on by themselves; but for one case, which the log names.
    fn expect_to_recover(&mut self, engine: &Engine, tickets: &Tickets) {
        note!(self, "the disk is well");
        for _ in 0..50 {
            if self.disk.has_crashed() {
                return;
            }
            let busy = engine.log.step();
            engine.apply_all();
            if engine.log.health() == Health::Writable && !busy {
                let committed = engine.index.commit_now();
                self.hear(Some(engine), tickets);
                if self.disk.has_crashed() {
                    return;
                }
                let committed = committed.unwrap_or_else(|error| panic!("the disk is well, but {error}"));
                assert_eq!(committed, engine.log.tail(), "the index does not follow");
                self.troubled = false;
                return;
            }
            self.clock.advance(6000);
        }
        match engine.log.health() {
            Health::Poisoned(reason) if reason.contains("never synced") && self.lost_pages => {
                assert_ne!(self.log_options.sync, SyncMode::Always, "{reason}");
            }
            health => panic!("the disk is well, but the log is {health:?}"),
        }
    }

    /// Reads the whole log and holds it to what was sent, and the index to the log. What is read at an opening stays for
    /// ever. Returns whether it could be read.
    fn check_all(&mut self, engine: &Engine) -> bool {
        let tail = engine.log.tail();
        assert_eq!(engine.index.snapshot().position(), tail, "not all of the log is visible");
        let Some(seen) = self.check_now(engine) else { return false };
        assert!(self.model.settled_end() <= tail, "acknowledged up to {}, found {tail}", self.model.settled_end());
        for cached in std::mem::take(&mut self.cached) {
            let is_there = seen.contains(&cached) || self.model.is_excused(cached.1);
            assert!(self.lost_pages || is_there, "batch {} at {} was in the cache", cached.1, cached.0);
        }
        let snapshot = engine.index.snapshot();
        for run_id in std::mem::take(&mut self.cached_erased) {
            assert!(self.lost_pages || snapshot.erased().has(run_id), "the erasure of {run_id} was in the cache");
        }
        for run_id in &self.model.erased {
            assert!(snapshot.erased().has(*run_id), "run {run_id} is not erased any more");
        }
        for (position, id) in seen {
            self.model.settle(position, id);
        }
        true
    }

    /// Holds the index to what the log has up to the position that is visible; returns the batches. `None` when the disk
    /// did not let it.
    fn check_now(&mut self, engine: &Engine) -> Option<Vec<(Position, Id)>> {
        let snapshot = engine.index.snapshot();
        let visible = snapshot.position();
        assert!(visible <= engine.log.tail(), "the index is ahead of the log");
        let mut next = Position::ZERO;
        let mut seen = Vec::new();
        let mut told = Told::default();
        for batch in engine.log.scan(Position::ZERO..visible) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) if self.is_excused(engine, &error) => return None,
                Err(error) => panic!("{error}"),
            };
            self.check_gap(next..batch.position);
            next = batch.end();
            match batch.kind {
                BatchKind::Run => seen.push((batch.position, self.model.recognise(&batch))),
                BatchKind::Log => told.hear(&batch),
            }
        }
        self.check_gap(next..visible);
        self.check_told(&told, &seen);
        let ids: BTreeSet<_> = seen.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids.len(), seen.len(), "a batch is there twice");
        let status = engine.index.status();
        assert_eq!(status.damage_count, 0, "{:?}", status.damage);
        let kept = seen.iter().copied().filter(|(_, id)| !told.has(self.model.run_id(*id)));
        let expected = self.model.fold(kept);
        self.check_index(&snapshot, &expected);
        Some(seen)
    }

    /// What is missing is of erased runs.
    fn check_gap(&self, gap: Range<Position>) {
        assert!(gap.is_empty() || self.erases, "a gap at {gap:?}");
        let promised = self.promised.iter().filter(|(position, _)| gap.contains(position)).copied();
        let settled = self.model.settled.range(gap.clone()).map(|(position, id)| (*position, *id));
        for (position, id) in promised.chain(settled) {
            assert!(self.model.is_excused(id), "batch {id} at {position} was acknowledged, and is gone");
        }
    }

    /// Only what was to be erased was, and of what is purged nothing is left.
    fn check_told(&self, told: &Told, seen: &[(Position, Id)]) {
        let may_be: BTreeSet<_> = self.model.may_be_erased.iter().map(|run_id| Digest::of_run_id(*run_id).0).collect();
        assert!(told.runs.keys().all(|run| may_be.contains(run)), "a run was erased that nobody named");
        for (position, id) in seen {
            let run = Digest::of_run_id(self.model.run_id(*id)).0;
            let erased = told.runs.get(&run).filter(|(erasure, _)| told.purged.contains_key(erasure));
            // One that came behind the tombstone is purged in turn, before the story ends.
            assert!(erased.is_none_or(|(_, at)| position > at), "batch {id} at {position} is of a purged run");
        }
    }

    /// The index answers exactly these runs.
    pub(crate) fn check_index(&self, snapshot: &Snapshot, expected: &Expected) {
        let all = PageRequest { after: None, offset: 0, limit: 1 << 20, count_up_to: u64::MAX };
        let page = snapshot.list(&Filter::default(), &all).unwrap_or_else(|error| panic!("the list: {error}"));
        let order = page.runs.iter().map(|run| (std::cmp::Reverse(run.started_at), run.run_id));
        assert!(order.is_sorted_by(|a, b| a < b), "the list is out of order, or holds a run twice");
        for run in &page.runs {
            let Some((position, id)) = expected.get(&run.run_id) else {
                panic!("run {} is in the index, and not in the log", run.run_id)
            };
            self.model.check_summary(run, *position, *id);
        }
        if let Some(missing) = expected.keys().find(|run| !page.runs.iter().any(|found| found.run_id == **run)) {
            panic!("run {missing} is in the log, and not in the index");
        }
        assert_eq!(page.total, Count::Exactly(expected.len() as u64));
    }

    /// Listens to the tickets: an acknowledged run is visible from then on.
    fn hear(&mut self, engine: Option<&Engine>, tickets: &Tickets) {
        for (id, outcome) in tickets.take_new() {
            note!(self, "batch {id} is answered: {outcome:?}");
            self.take_answer(engine, id, outcome);
        }
    }

    fn take_answer(&mut self, engine: Option<&Engine>, id: Id, outcome: Outcome) {
        match outcome {
            Ok(position) => {
                self.tally.acknowledged += 1;
                self.promised.push((position, id));
                let Some(engine) = engine else { return };
                let run_id = self.model.run_id(id);
                let found = engine.index.snapshot().find(run_id).unwrap_or_else(|error| panic!("{error}"));
                if found.is_none() && self.model.is_excused(id) {
                    return;
                }
                let found = found.unwrap_or_else(|| panic!("run {run_id} was acknowledged, and is not visible"));
                assert!(found.position() <= position, "of two whole runs of one id the first one wins");
                if found.position() == position {
                    self.model.check_summary(&found, position, id);
                }
            }
            Err(AppendError::Failed(_)) => self.tally.failed += 1,
            Err(AppendError::DiskFull) => {
                self.tally.refused += 1;
                self.model.is_absent(id);
            }
            // Committed perhaps, when the index had gone already.
            Err(AppendError::Closed) => self.tally.refused += 1,
            Err(AppendError::Erased) => {
                self.tally.refused_as_erased += 1;
                assert!(self.model.is_excused(id), "batch {id} is refused as erased, and nobody erased its run");
            }
        }
    }

    /// A run by its id, from the index and then from the log, as `GET /v1/runs/{id}` does.
    fn read_one(&mut self, engine: &Engine) {
        if self.model.len() == 0 {
            return;
        }
        let run_id = self.model.run_id(self.dice.random_range(0..self.model.len()));
        let found = engine.index.snapshot().find(run_id).unwrap_or_else(|error| panic!("{error}"));
        let Some(found) = found else {
            let mut stored = self.promised.iter().copied().chain(self.model.settled.iter().map(|(at, id)| (*at, *id)));
            let stored = stored.find(|(_, id)| self.model.run_id(*id) == run_id);
            let is_excused = self.model.may_be_erased.contains(&run_id);
            assert!(stored.is_none() || is_excused, "run {run_id} was acknowledged, and is not found");
            return;
        };
        assert!(!self.model.erased.contains(&run_id), "run {run_id} was erased, and is found");
        let mut batches = Vec::new();
        for position in &found.batches {
            match engine.log.read(*position) {
                Ok(batch) => {
                    let id = self.model.recognise(&batch);
                    batches.push((batch, id));
                }
                Err(error) if self.is_excused(engine, &error) => return,
                Err(error) => panic!("run {run_id}: {error}"),
            }
        }
        let decoded = batches.iter().map(|(batch, _)| record::decode(batch).unwrap_or_else(|error| panic!("{error}")));
        let view = RunView::fold(decoded);
        let (batch, id) = &batches[0];
        assert_eq!(view, Some(self.model.view(batch.position, *id)), "run {run_id}");
    }

    /// Whether a read may fail so: the disk was made to fail, or forgot pages that were never synced.
    fn is_excused(&self, engine: &Engine, error: &ReadError) -> bool {
        match error {
            ReadError::Io { .. } => self.is_troubled(),
            ReadError::Damaged(damage) => self.lost_pages && damage.positions.start >= engine.log.durable(),
            ReadError::NotFound(_) | ReadError::Gone { .. } => false,
        }
    }

    fn end(&mut self, engine: Engine, tickets: &Tickets) {
        let end = match self.dice.random_range(0..5) {
            _ if self.disk.has_crashed() => End::PowerLoss,
            0 | 1 => End::PowerLoss,
            2 => End::Kill,
            3 => End::Close,
            _ => End::Drop,
        };
        note!(self, "the end: {end:?}");
        if self.log_options.sync == SyncMode::Always {
            assert_eq!(engine.log.durable(), engine.log.tail());
        }
        let mut durable = engine.log.durable();
        // Whether what was acknowledged, but not synced, must be found if the power stays on.
        let mut cached = !self.lost_pages;
        match end {
            End::PowerLoss => {
                self.lose_power();
                cached = false;
                drop(engine);
            }
            End::Kill => {
                self.tally.kills += 1;
                self.disk = self.disk.restart_process();
                self.disk.set_capacity(None);
                drop(engine);
            }
            End::Close | End::Drop => {
                if self.dice.random_bool(0.5) {
                    self.make_well();
                }
                if end == End::Close {
                    // In the order of `Server::stop`.
                    let closed = engine.index.close();
                    self.hear(None, tickets);
                    note!(self, "the index is closed: {closed:?}");
                    if engine.log.close().is_ok() {
                        assert_eq!(engine.log.durable(), engine.log.tail());
                    }
                }
                let log = engine.log.clone();
                drop(engine);
                self.hear(None, tickets);
                durable = log.durable();
                drop(log);
                self.make_well();
                if self.disk.has_crashed() || self.dice.random_bool(0.5) {
                    self.lose_power();
                    cached = false;
                }
            }
        }
        self.troubled = false;
        for (position, id) in std::mem::take(&mut self.promised) {
            if self.model.end(position, id) <= durable {
                self.model.settle(position, id);
            } else if cached {
                self.cached.push((position, id));
            }
        }
        for (position, run_id) in std::mem::take(&mut self.promised_erased) {
            if position < durable {
                self.model.erased.insert(run_id);
            } else if cached {
                self.cached_erased.push(run_id);
            }
        }
    }

    fn lose_power(&mut self) {
        note!(self, "the power is cut");
        self.tally.power_losses += 1;
        self.cached.clear();
        self.cached_erased.clear();
        self.disk = self.disk.restart();
        self.disk.set_capacity(None);
        self.troubled = false;
        self.lost_pages = false;
    }

    /// The last quiet life: nothing fails any more, so everything must work.
    fn live_well(&mut self) {
        self.tally.lives += 1;
        self.make_well();
        if self.dice.random_bool(0.5) {
            self.lose_power();
        } else {
            self.disk = self.disk.restart_process();
            self.troubled = false;
        }
        let tickets = Tickets::default();
        let engine = self.open_engine().unwrap_or_else(|refusal| panic!("the disk is well: {refusal}"));
        note!(self, "opened well: {}", engine.recovery);
        self.complete_erasures(&engine);
        assert!(self.check_all(&engine));
        for _ in 0..self.dice.random_range(2..25) {
            self.submit(&engine, &tickets);
            if self.dice.random_bool(0.4) {
                engine.log.step();
            }
            if self.dice.random_bool(0.3) {
                engine.apply_all();
            }
            if self.dice.random_bool(0.1) {
                self.commit_index(&engine);
            }
            self.hear(Some(&engine), &tickets);
        }
        while engine.log.step() {}
        engine.apply_all();
        assert!(!tickets.waiting(), "the disk is well, but a ticket waits");
        self.hear(Some(&engine), &tickets);
        let log = Path::new(DIR).join("log");
        let segments = self.disk.files().into_iter().filter(|file| file.starts_with(&log) && is_segment(file)).count();
        self.tally.rotations += segments as u64 - 1;
        let seen = self.check_now(&engine).expect("the disk is well");
        for (position, id) in seen {
            self.model.settle(position, id);
        }
        self.read_one(&engine);
        if self.erases {
            self.erase(&engine, &tickets);
            self.purge_all(&engine);
            assert!(self.check_now(&engine).is_some());
        }
        engine.index.close().unwrap();
        engine.log.close().unwrap();
        drop(engine);
        self.promised.clear();
        self.promised_erased.clear();
        if self.erases {
            let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
            let proof = prove(&disk, Path::new(DIR)).unwrap_or_else(|error| panic!("the proof: {error}"));
            assert!(proof.holds(), "of purged runs something is left: {:?}", proof.named);
            assert_eq!(proof.pending, 0, "an erasure is not purged");
            self.tally.proofs += u64::from(proof.purged > 0);
        }
    }

    /// With a disk that works every erasure ends.
    fn purge_all(&mut self, engine: &Engine) {
        for _ in 0..3 {
            let purged = engine.purger.step(&mut |_| true).unwrap_or_else(|error| panic!("the disk is well: {error}"));
            note!(self, "all is purged: {purged:?}");
            self.tally.purged_erasures += purged.erasures as u64;
            if !engine.purger.has_work() {
                return;
            }
        }
        panic!("the disk is well, but something is not purged");
    }
}

/// What the log tells of erasures.
#[derive(Default)]
struct Told {
    /// By the hash of the run's id: by which erasure, and where the tombstone stands.
    runs: BTreeMap<[u8; 32], (Uuid, Position)>,
    /// Where the receipt stands.
    purged: BTreeMap<Uuid, Position>,
}

impl Told {
    fn hear(&mut self, batch: &StoredBatch) {
        for record in log_record::decode(batch).unwrap_or_else(|error| panic!("{error}")) {
            match record {
                LogRecord::RunsErased { erasure, runs } => {
                    for tombstone in runs {
                        let before = self.runs.insert(tombstone.run, (erasure, batch.position));
                        assert!(before.is_none_or(|(before, _)| before == erasure), "a run is erased twice");
                    }
                }
                LogRecord::ErasurePurged { erasure, .. } => {
                    let before = self.purged.insert(erasure, batch.position);
                    assert_eq!(before, None, "there are two receipts");
                }
                _ => {}
            }
        }
    }

    fn has(&self, run_id: Uuid) -> bool {
        self.runs.contains_key(&Digest::of_run_id(run_id).0)
    }
}

/// Whether a file holds frames.
pub(crate) fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "seg" || extension == "cseg")
}
