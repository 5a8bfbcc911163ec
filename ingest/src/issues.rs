use agenttracer_model::privacy::RefusalRule;
use agenttracer_model::{FieldError, Loc};

/// One body answers at most this many errors, so that an answer cannot grow without bound.
const MOST_ERRORS: usize = 1000;

/// One part of the place that is being looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Segment {
    /// A field of the contract.
    Field(&'static str),
    /// An element of an array.
    Index(usize),
}

impl From<&'static str> for Segment {
    fn from(name: &'static str) -> Self {
        Self::Field(name)
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Gathers all the errors of a body while it is looked at, each with its place.
///
/// Messages are about rules: no caller puts a part of the body into one.
#[derive(Debug)]
pub(crate) struct Issues {
    place: Vec<Segment>,
    errors: Vec<FieldError>,
    /// The privacy rules among them.
    pub(crate) rules: Rules,
}

/// How often each rule refused something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules([u64; RefusalRule::ALL.len()]);

impl Rules {
    /// Counts one refusal.
    pub(crate) fn add(&mut self, rule: RefusalRule) {
        self.0[rule as usize] += 1;
    }

    /// The counts, in the order of [`RefusalRule::ALL`].
    pub(crate) fn counts(self) -> [u64; RefusalRule::ALL.len()] {
        self.0
    }
}

impl Issues {
    /// Begins at `body`, or at an item of a batch.
    pub(crate) fn new(item: Option<usize>) -> Self {
        let mut place = vec![Segment::Field("body")];
        place.extend(item.map(Segment::Index));
        Self { place, errors: Vec::new(), rules: Rules::default() }
    }

    /// Goes to a part of the present place, until [`leave`](Self::leave).
    pub(crate) fn enter(&mut self, part: impl Into<Segment>) {
        self.place.push(part.into());
    }

    /// Goes back to the place around the present one.
    pub(crate) fn leave(&mut self) {
        self.place.pop();
    }

    /// An error at the present place.
    #[cold]
    pub(crate) fn here(&mut self, kind: &'static str, msg: impl Into<String>) {
        self.push(kind, self.loc(), msg);
    }

    /// An error at a part of the present place.
    #[cold]
    pub(crate) fn at(&mut self, part: impl Into<Segment>, kind: &'static str, msg: impl Into<String>) {
        let mut loc = self.loc();
        loc.push(part.into().into());
        self.push(kind, loc, msg);
    }

    /// An error below the present place, at keys that are fit to be shown.
    #[cold]
    pub(crate) fn below(&mut self, path: impl IntoIterator<Item = String>, kind: &'static str, msg: impl Into<String>) {
        let mut loc = self.loc();
        loc.extend(path.into_iter().map(Loc::Name));
        self.push(kind, loc, msg);
    }

    /// How many errors there are so far.
    pub(crate) fn count(&self) -> usize {
        self.errors.len()
    }

    /// The errors, in the order in which they were found, and the privacy rules among them.
    pub(crate) fn into_errors(self) -> (Vec<FieldError>, Rules) {
        (self.errors, self.rules)
    }

    fn loc(&self) -> Vec<Loc> {
        self.place.iter().copied().map(Loc::from).collect()
    }

    fn push(&mut self, kind: &'static str, loc: Vec<Loc>, msg: impl Into<String>) {
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(FieldError { kind, loc, msg: msg.into() });
        }
    }
}

impl From<Segment> for Loc {
    fn from(segment: Segment) -> Self {
        match segment {
            Segment::Field(name) => Self::Name(name.to_owned()),
            Segment::Index(index) => Self::Index(index),
        }
    }
}
