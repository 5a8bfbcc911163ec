//! The lives of one log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agenttracer_model::{Position, Timestamp};
use agenttracer_storage::disk::sim::Call;
use agenttracer_storage::disk::{SimClock, SimDisk};
use agenttracer_storage::{
    AppendError, Health, KnownDurable, Log, OpenError, Options, ReadError, Recovery, SegmentedLog, SubmitError,
    SyncMode,
};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use crate::history::{Given, History, Id, Tickets};

pub(crate) const DIR: &str = "/data";

/// What happened in some stories: to see that enough does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) lives: u64,
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) rotations: u64,
    pub(crate) crashes: u64,
    pub(crate) crashes_while_opening: u64,
    pub(crate) torn_tails: u64,
    pub(crate) reopened: u64,
    pub(crate) full: u64,
    pub(crate) damaged: u64,
    pub(crate) damage_refused: u64,
    pub(crate) damage_named: u64,
}

impl Tally {
    fn fields(&self) -> [u64; 13] {
        [
            self.lives,
            self.acknowledged,
            self.refused,
            self.failed,
            self.rotations,
            self.crashes,
            self.crashes_while_opening,
            self.torn_tails,
            self.reopened,
            self.full,
            self.damaged,
            self.damage_refused,
            self.damage_named,
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.lives += other.lives;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.failed += other.failed;
        self.rotations += other.rotations;
        self.crashes += other.crashes;
        self.crashes_while_opening += other.crashes_while_opening;
        self.torn_tails += other.torn_tails;
        self.reopened += other.reopened;
        self.full += other.full;
        self.damaged += other.damaged;
        self.damage_refused += other.damage_refused;
        self.damage_named += other.damage_named;
    }

    /// Everything that is to be proved did happen, and often.
    pub(crate) fn assert_rich(&self) {
        assert!(self.fields().iter().all(|count| *count >= 10), "too little happened: {self:?}");
    }
}

pub(crate) struct Story {
    pub(crate) dice: SmallRng,
    pub(crate) disk: SimDisk,
    pub(crate) clock: SimClock,
    pub(crate) options: Options,
    pub(crate) history: History,
    pub(crate) tally: Tally,
    /// What a projection has committed: it is told to the log when it opens.
    checkpoint: Position,
    /// Calls were made to fail since the disk was last well.
    troubled: bool,
    /// A sync failed on this disk: what was not synced may be lost without a crash.
    lost_pages: bool,
    /// Batches of a life that ended without a loss of power: they must be found, unless one comes first.
    cached: Vec<(Position, Id)>,
}

/// How a life of the log goes on or ends.
enum End {
    Close,
    Drop,
    Kill,
    PowerLoss,
}

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = SmallRng::seed_from_u64(seed);
        let sync = match dice.random_range(0..3) {
            0 => SyncMode::Interval(Duration::from_millis(50)),
            _ => SyncMode::Always,
        };
        let options = Options {
            sync,
            segment_bytes: *[16 << 10, 20 << 10, 32 << 10, 64 << 10].choose(&mut dice).unwrap(),
            max_group_bytes: *[4 << 10, 16 << 10, 1 << 20].choose(&mut dice).unwrap(),
            queue_batches: *[4, 64].choose(&mut dice).unwrap(),
            queue_bytes: 64 << 10,
            known_durable: None,
            new_log_id: Uuid::from_u128(u128::from(seed)),
        };
        Self {
            disk: SimDisk::new(dice.random()),
            dice,
            clock: SimClock::new(Timestamp::from_micros(1_763_800_000_000_000)),
            options,
            history: History::default(),
            tally: Tally::default(),
            checkpoint: Position::ZERO,
            troubled: false,
            lost_pages: false,
            cached: Vec::new(),
        }
    }

    pub(crate) fn tell(mut self) -> Tally {
        for _ in 0..self.dice.random_range(2..8) {
            self.live();
        }
        self.live_well();
        match self.dice.random_range(0..10) {
            0..3 => {}
            3..7 => {
                let proven = self.history.settled_end();
                self.suffer_damage(proven);
            }
            // Without a clean end, only what a later group stands behind is known to have been acknowledged.
            _ => {
                if let Some(proven) = self.live_until_the_power_fails() {
                    self.suffer_damage(proven);
                }
            }
        }
        self.tally
    }

    pub(crate) fn open(&self, given: &Given) -> Result<(Arc<SegmentedLog>, Recovery), OpenError> {
        let known_durable = KnownDurable { log: self.options.new_log_id, below: self.checkpoint };
        let options = Options { known_durable: Some(known_durable), ..self.options.clone() };
        let (disk, clock) = (Arc::new(self.disk.clone()), Arc::new(self.clock.clone()));
        SegmentedLog::open_stepped(disk, clock, Path::new(DIR), options, Box::new(given.clone()))
    }

    /// One life of a log: it is opened, used, and ends in some way.
    fn live(&mut self) {
        self.tally.lives += 1;
        if self.dice.random_bool(0.15) {
            self.disk.crash_at_change(self.dice.random_range(0..25));
        }
        if self.dice.random_bool(0.1) {
            self.order_failure();
        }
        let given = Given::default();
        let log = match self.open(&given) {
            Ok((log, recovery)) => {
                self.tally.torn_tails += u64::from(recovery.cut.is_some());
                let other = recovery.damage.iter().find(|damage| !damage.file.to_string_lossy().contains("manifest."));
                assert_eq!(other, None, "nothing was damaged");
                log
            }
            Err(OpenError::Io { .. }) if self.disk.has_crashed() => {
                self.tally.crashes_while_opening += 1;
                self.lose_power();
                return;
            }
            Err(OpenError::Io { .. }) if self.troubled => {
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
            Err(error) => panic!("the log did not open: {error}"),
        };
        let tickets = Tickets::default();
        let opened_at = log.tail();
        if self.check_all(&log) {
            for _ in 0..self.dice.random_range(5..60) {
                if self.disk.has_crashed() {
                    break;
                }
                self.act(&log, &tickets);
            }
        }
        self.end(log, &given, &tickets, opened_at);
    }

    fn act(&mut self, log: &Arc<SegmentedLog>, tickets: &Tickets) {
        match self.dice.random_range(0..100) {
            0..35 => {
                for _ in 0..self.dice.random_range(1..6) {
                    self.submit(log, tickets);
                }
            }
            35..65 => {
                let before = log.health();
                for _ in 0..self.dice.random_range(1..4) {
                    log.step();
                }
                let after = log.health();
                self.tally.full += u64::from(before != after && after == Health::DiskFull);
                self.tally.reopened +=
                    u64::from(matches!(before, Health::Poisoned(_)) && !matches!(after, Health::Poisoned(_)));
            }
            65..72 => self.read_one(log),
            72..76 => self.scan_some(log),
            76..82 => self.clock.advance(self.dice.random_range(0..200)),
            82..84 => drop(log.sync()),
            84..87 => {
                // The log is synced up to C before a projection commits C.
                if let Ok(durable) = log.sync() {
                    self.checkpoint = self.checkpoint.max(durable);
                }
            }
            87..92 => self.order_failure(),
            92..95 => {
                let more = self.dice.random_range(0..40 << 10);
                self.disk.set_capacity(Some(self.disk.used() + more));
                self.troubled = true;
            }
            95..97 => self.disk.crash_at_change(self.dice.random_range(0..20)),
            97 => self.clock.set(Timestamp::from_micros(self.dice.random_range(0..1 << 51))),
            _ => {
                self.make_well();
                self.expect_to_recover(log);
            }
        }
    }

    fn submit(&mut self, log: &Arc<SegmentedLog>, tickets: &Tickets) {
        let len = match self.dice.random_range(0..12) {
            0 => self.dice.random_range(0..70_000),
            1..3 => self.dice.random_range(3000..9000),
            3..5 => self.dice.random_range(0..8),
            _ => self.dice.random_range(50..2500),
        };
        let records = self.dice.random_range(1..6);
        let time = agenttracer_storage::disk::Clock::now(&self.clock);
        let (id, batch) = self.history.batch(len, records, time);
        let too_large = batch.payload.len() > self.options.segment_bytes as usize;
        match log.submit(batch, tickets.issue(id)) {
            Ok(()) => assert!(!too_large, "a batch larger than a segment was taken"),
            Err(error) => {
                tickets.withdraw(id);
                self.history.is_absent(id);
                self.tally.refused += 1;
                let fits = match error {
                    SubmitError::Busy => true,
                    SubmitError::TooLarge => len + 4096 * 3 + 72 > self.options.segment_bytes as usize,
                    SubmitError::DiskFull | SubmitError::Poisoned => self.troubled || self.disk.has_crashed(),
                    SubmitError::Closed | SubmitError::Dead | SubmitError::OverLimit => false,
                };
                assert!(fits, "{error} without a reason, for {len} bytes");
            }
        }
    }

    fn order_failure(&mut self) {
        let call = *[Call::Read, Call::Write, Call::Write, Call::Sync, Call::Sync, Call::SyncDir, Call::Name]
            .choose(&mut self.dice)
            .unwrap();
        self.disk.fail(call, self.dice.random_range(0..12));
        self.troubled = true;
        if call == Call::Sync {
            self.lost_pages = true;
            // What recovers from it may be cut off in turn.
            if self.dice.random_bool(0.3) {
                self.disk.crash_at_change(self.dice.random_range(2..40));
            }
        }
    }

    fn make_well(&mut self) {
        self.disk.fail_no_more();
        self.disk.set_capacity(None);
    }

    /// With a disk that works and has space, the log takes batches again by itself; but for one case, which it names.
    fn expect_to_recover(&mut self, log: &Arc<SegmentedLog>) {
        if self.disk.has_crashed() {
            return;
        }
        for _ in 0..50 {
            if log.health() == Health::Writable && !log.step() {
                self.troubled = false;
                return;
            }
            log.step();
            self.clock.advance(6000);
            // An ordered crash may come meanwhile.
            if self.disk.has_crashed() {
                return;
            }
        }
        match log.health() {
            Health::Poisoned(reason) if reason.contains("never synced") && self.lost_pages => {
                assert_ne!(self.options.sync, SyncMode::Always, "{reason}");
            }
            health => panic!("the disk is well, but the log is {health:?}"),
        }
    }

    /// Reads the whole log and checks it against the history. What is read at an opening stays for ever. Returns whether it could
    /// be read.
    fn check_all(&mut self, log: &Arc<SegmentedLog>) -> bool {
        let mut next = Position::ZERO;
        let mut seen = Vec::new();
        for batch in log.scan(Position::ZERO..log.tail()) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(ReadError::Io { .. }) if self.troubled || self.disk.has_crashed() => return false,
                Err(error) => panic!("{error}"),
            };
            assert_eq!(batch.position, next, "a gap");
            next = batch.end();
            seen.push((batch.position, self.history.recognise(&batch)));
        }
        assert_eq!((next, log.durable()), (log.tail(), log.tail()), "read, durable and the tail");
        assert!(self.history.settled_end() <= next, "acknowledged up to {}, found {next}", self.history.settled_end());
        let mut ids: Vec<_> = seen.iter().map(|(_, id)| *id).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "a batch is there twice");
        for cached in std::mem::take(&mut self.cached) {
            assert!(self.lost_pages || seen.contains(&cached), "batch {} at {} was in the cache", cached.1, cached.0);
        }
        for (position, id) in seen {
            self.history.settle(position, id);
        }
        true
    }

    fn read_one(&mut self, log: &Arc<SegmentedLog>) {
        let tail = log.tail().get();
        let at = Position::new(self.dice.random_range(0..tail + 2));
        let at = match self.history.settled.range(..=at).next_back() {
            Some((settled, _)) if self.dice.random_bool(0.8) => *settled,
            _ => at,
        };
        match log.read(at) {
            Ok(batch) => {
                assert_eq!(batch.position, at);
                self.history.recognise(&batch);
            }
            Err(ReadError::NotFound(found)) => {
                assert_eq!(found, at);
                assert!(!self.history.settled.contains_key(&at), "the batch at {at} was not found");
            }
            Err(error) => assert!(self.is_excused(log, &error), "{error}"),
        }
    }

    /// Whether a read may fail so: the disk was made to fail, or forgot pages that were never synced.
    fn is_excused(&self, log: &Arc<SegmentedLog>, error: &ReadError) -> bool {
        match error {
            ReadError::Io { .. } => self.troubled || self.disk.has_crashed(),
            ReadError::Damaged(damage) => self.lost_pages && damage.positions.start >= log.durable(),
            ReadError::NotFound(_) | ReadError::Gone { .. } => false,
        }
    }

    fn scan_some(&mut self, log: &Arc<SegmentedLog>) {
        let tail = log.tail().get();
        let from = self.dice.random_range(0..=tail);
        let range = Position::new(from)..Position::new(self.dice.random_range(from..=tail + 3));
        let mut next = None;
        for batch in log.scan(range.clone()) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) if self.is_excused(log, &error) => return,
                Err(error) => panic!("{error}"),
            };
            assert!(range.contains(&batch.position));
            assert!(next.is_none_or(|next| next == batch.position), "a gap before {}", batch.position);
            next = Some(batch.end());
            self.history.recognise(&batch);
        }
        let reached = next.unwrap_or(range.start);
        let left = self.history.settled.range(reached..range.end.max(reached)).next();
        assert_eq!(left, None, "a scan of {range:?} ended at {reached}");
    }

    fn end(&mut self, log: Arc<SegmentedLog>, given: &Given, tickets: &Tickets, opened_at: Position) {
        let crashed = self.disk.has_crashed();
        let end = match self.dice.random_range(0..5) {
            _ if crashed => End::PowerLoss,
            0 | 1 => End::PowerLoss,
            2 => End::Kill,
            3 => End::Close,
            _ => End::Drop,
        };
        let mut durable = log.durable();
        if self.options.sync == SyncMode::Always {
            assert_eq!(durable, log.tail());
        }
        // Whether the batches that the follower has, but that were not synced, must be found if the power stays on.
        let mut cached = !self.lost_pages;
        match end {
            End::PowerLoss => {
                self.lose_power();
                cached = false;
            }
            End::Kill => {
                self.disk = self.disk.restart_process();
                self.disk.set_capacity(None);
            }
            End::Close | End::Drop => {
                if self.dice.random_bool(0.5) {
                    self.make_well();
                }
                if matches!(end, End::Close) && log.close().is_ok() {
                    assert_eq!(log.durable(), log.tail());
                }
                durable = log.durable();
            }
        }
        drop(log);
        if matches!(end, End::Close | End::Drop) {
            self.make_well();
            if self.disk.has_crashed() || self.dice.random_bool(0.5) {
                self.lose_power();
                cached = false;
            }
        }
        self.troubled = false;
        let mut next = opened_at;
        let given = given.batches();
        for (batch, _) in &given {
            assert_eq!(batch.position, next, "the follower was not given the next batch");
            next = batch.end();
            let id = self.history.recognise(batch);
            if next <= durable {
                self.history.settle(batch.position, id);
            } else if cached {
                self.cached.push((batch.position, id));
            }
        }
        for (id, outcome) in tickets.outcomes() {
            match outcome {
                Ok(position) => {
                    self.tally.acknowledged += 1;
                    let batch = given.iter().find(|(batch, _)| batch.position == position);
                    assert_eq!(batch.map(|(batch, _)| self.history.recognise(batch)), Some(id), "a wrong position");
                }
                Err(AppendError::Failed(_)) => self.tally.failed += 1,
                Err(AppendError::DiskFull | AppendError::Closed) => {
                    self.tally.refused += 1;
                    self.history.is_absent(id);
                }
                Err(AppendError::Erased) => panic!("nothing is erased here"),
            }
        }
    }

    fn lose_power(&mut self) {
        self.tally.crashes += 1;
        self.cached.clear();
        self.disk = self.disk.restart();
        self.disk.set_capacity(None);
        self.troubled = false;
        self.lost_pages = false;
    }

    /// A life with some groups of batches and a loss of power when all is synced. Returns the first position of the last group.
    fn live_until_the_power_fails(&mut self) -> Option<Position> {
        if self.options.sync != SyncMode::Always {
            return None;
        }
        let (given, tickets) = (Given::default(), Tickets::default());
        let (log, _) = self.open(&given).unwrap_or_else(|error| panic!("the disk is well: {error}"));
        for _ in 0..self.dice.random_range(2..12) {
            for _ in 0..self.dice.random_range(1..4) {
                self.submit(&log, &tickets);
            }
            log.step();
        }
        while log.step() {}
        self.lose_power();
        drop(log);
        let given = given.batches();
        for (batch, _) in &given {
            let id = self.history.recognise(batch);
            self.history.settle(batch.position, id);
        }
        let (_, last) = given.last()?;
        given.iter().find(|(_, group)| group == last).map(|(batch, _)| batch.position)
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
        let (given, tickets) = (Given::default(), Tickets::default());
        let (log, _) = self.open(&given).unwrap_or_else(|error| panic!("the disk is well: {error}"));
        assert!(self.check_all(&log));
        let opened_at = log.tail();
        for _ in 0..self.dice.random_range(2..25) {
            self.submit(&log, &tickets);
            if self.dice.random_bool(0.5) {
                log.step();
            }
        }
        while log.step() {}
        assert!(!tickets.waiting(), "the disk is well, but a ticket waits");
        self.tally.rotations +=
            self.disk.files().iter().filter(|path| path.to_string_lossy().ends_with(".seg")).count() as u64;
        self.read_one(&log);
        self.scan_some(&log);
        log.close().unwrap();
        drop(log);
        for (batch, _) in given.batches() {
            let id = self.history.recognise(&batch);
            self.history.settle(batch.position, id);
        }
        let first = given.batches().first().map(|(batch, _)| batch.position);
        assert!(first.is_none_or(|first| first == opened_at));
        for (id, outcome) in tickets.outcomes() {
            assert!(outcome.is_ok(), "the disk is well, but batch {id} failed: {outcome:?}");
        }
    }
}
