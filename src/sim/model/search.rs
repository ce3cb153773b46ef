use std::collections::VecDeque;
use std::fmt;

use super::intern::fingerprint_of_numbers;
use super::seen::Seen;

/// Something whose every behaviour within bounds is to be seen: states, and the events that lead from one to the next.
///
/// A state is a row of numbers that says all there is about it: two states with the same row have the same future.
pub(super) trait Model {
    /// What can happen.
    type Event: Copy;

    /// Where everything begins.
    fn initial(&mut self) -> Result<Vec<u32>, Broken>;

    /// All that can happen in a state. Bounds show here: what they forbid is not listed.
    fn events(&mut self, state: &[u32], into: &mut Vec<Self::Event>);

    /// The state after an event, or what it violates.
    fn next(&mut self, state: &[u32], event: Self::Event) -> Result<Vec<u32>, Broken>;

    /// Brings a state to one that stands for it and all others that are no different within the bounds.
    fn tidy(&mut self, _: &mut [u32]) -> Result<(), Broken> {
        Ok(())
    }

    /// What happens next in a world whose faults are over; none when it has come to rest as it should. Bounds do not hold here.
    fn calm(&self, state: &[u32]) -> Option<Self::Event>;

    /// What of a state decides what [`calm`](Self::calm) comes to: all but what was counted for the bounds, and what nobody knows.
    fn essence(&self, state: &[u32]) -> u128;

    /// The property that every state comes to rest.
    const COMES_TO_REST: &'static str;

    /// An event in words, for the path to a violation. `state` is the one that it happens in.
    fn tell(&mut self, state: &[u32], event: Self::Event) -> String;

    /// How many different states single servers were found in.
    fn local_states(&self) -> usize;
}

/// A property that does not hold, and what was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Broken {
    pub(super) property: &'static str,
    pub(super) what: String,
}

impl Broken {
    pub(super) fn new(property: &'static str, what: impl Into<String>) -> Self {
        Self { property, what: what.into() }
    }
}

/// What a search saw.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct ModelReport {
    /// Different states.
    pub states: u64,
    /// Events that were tried: edges of the graph of states.
    pub events: u64,
    /// The length of the longest of the shortest paths to the states.
    pub depth: u32,
    /// States in which nothing can happen any more within the bounds.
    pub ends: u64,
    /// Different states of single servers.
    pub local_states: u64,
    /// Whether all states within the bounds were seen. Not so after a violation, or at the limit of the search.
    pub complete: bool,
    /// What does not hold, with a shortest path to it.
    pub violation: Option<ModelViolation>,
}

/// A property that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelViolation {
    /// Its name.
    pub property: &'static str,
    /// What was seen.
    pub what: String,
    /// The events that lead to it, from the beginning.
    pub path: Vec<String>,
}

impl fmt::Display for ModelViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} does not hold: {}", self.property, self.what)?;
        for (number, event) in self.path.iter().enumerate() {
            writeln!(f, "{:4}. {event}", number + 1)?;
        }
        Ok(())
    }
}

/// How many calm steps there may be before a world has come to rest.
const PATIENCE: usize = 3_000;

/// How many calm steps are told, of a violation that came with them.
const TOLD: usize = 40;

/// Sees every state of a model, nearest first, so that a violation comes with one of its shortest paths; at most about
/// `limit` states. From each of them it also goes the one way on that a calm world would take, to its rest.
pub(super) fn search<M: Model>(model: &mut M, limit: u64) -> ModelReport {
    let mut report = ModelReport { states: 1, complete: true, ..ModelReport::default() };
    let initial = match model.initial() {
        Ok(initial) => initial,
        Err(broken) => return fail(model, report, broken, Vec::new(), &[]),
    };
    let mut seen = Seen::new();
    seen.insert(fingerprint_of_numbers(&initial));
    // From where each state was reached first, and by which of the events there; by the state's number.
    let mut origins: Vec<(u32, u8)> = vec![(0, 0)];
    let mut frontier = VecDeque::from([(0_u32, 0_u32, Packed::new(&initial))]);
    let (mut state, mut events) = (Vec::new(), Vec::new());
    let mut resting = Seen::new();
    while let Some((number, depth, packed)) = frontier.pop_front() {
        report.depth = report.depth.max(depth);
        packed.unpack(&mut state);
        if let Err((broken, calm)) = come_to_rest(model, &state, &mut resting) {
            let path = path_to(model, &origins, number);
            return fail(model, report, broken, path, &calm);
        }
        events.clear();
        model.events(&state, &mut events);
        report.ends += u64::from(events.is_empty());
        for (place, event) in events.iter().enumerate() {
            report.events += 1;
            let next = match tidied(model, &state, *event) {
                Ok(next) => next,
                Err(broken) => {
                    let mut path = path_to(model, &origins, number);
                    path.push(*event);
                    return fail(model, report, broken, path, &[]);
                }
            };
            if report.states >= limit {
                report.complete = false;
            } else if seen.insert(fingerprint_of_numbers(&next)) {
                report.states += 1;
                let own = u32::try_from(origins.len()).unwrap_or(u32::MAX);
                frontier.push_back((own, depth + 1, Packed::new(&next)));
                origins.push((number, u8::try_from(place).unwrap_or(u8::MAX)));
            }
        }
    }
    report.local_states = model.local_states() as u64;
    report
}

fn tidied<M: Model>(model: &mut M, state: &[u32], event: M::Event) -> Result<Vec<u32>, Broken> {
    let mut next = model.next(state, event)?;
    model.tidy(&mut next)?;
    Ok(next)
}

/// Goes on calmly from a state, until all is as it should be or a state is met from which that is known to come.
fn come_to_rest<M: Model>(
    model: &mut M,
    state: &[u32],
    resting: &mut Seen,
) -> Result<(), (Broken, Vec<M::Event>)> {
    let first = model.essence(state);
    if resting.contains(first) {
        return Ok(());
    }
    let mut passed = vec![first];
    let mut path = Vec::new();
    let mut state = state.to_vec();
    while passed.last().is_some_and(|essence| !resting.contains(*essence)) {
        let Some(event) = model.calm(&state) else { break };
        path.push(event);
        state = model.next(&state, event).map_err(|broken| (broken, path.clone()))?;
        if passed.len() > PATIENCE {
            let what = format!("not within {PATIENCE} calm steps");
            return Err((Broken::new(M::COMES_TO_REST, what), path));
        }
        passed.push(model.essence(&state));
    }
    for essence in passed {
        resting.insert(essence);
    }
    Ok(())
}

/// A state that waits to be looked at, seven bits to the byte: most numbers are small.
struct Packed(Box<[u8]>);

impl Packed {
    fn new(state: &[u32]) -> Self {
        let mut bytes = Vec::with_capacity(state.len() * 2);
        for number in state {
            let mut rest = *number;
            while rest >= 0x80 {
                bytes.push(rest.to_le_bytes()[0] | 0x80);
                rest >>= 7;
            }
            bytes.push(rest.to_le_bytes()[0]);
        }
        Self(bytes.into_boxed_slice())
    }

    fn unpack(&self, into: &mut Vec<u32>) {
        into.clear();
        let (mut number, mut shift) = (0, 0);
        for byte in &self.0 {
            number |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                into.push(number);
                (number, shift) = (0, 0);
            }
        }
    }
}

/// A number of a state.
pub(super) fn get(state: &[u32], place: usize) -> u32 {
    state.get(place).copied().unwrap_or_default()
}

/// Puts another number there.
pub(super) fn set(state: &mut [u32], place: usize, value: u32) {
    if let Some(slot) = state.get_mut(place) {
        *slot = value;
    }
}

/// The events that lead to a state: those of each state on the way are listed once more.
fn path_to<M: Model>(model: &mut M, origins: &[(u32, u8)], number: u32) -> Vec<M::Event> {
    let mut places = Vec::new();
    let mut at = number;
    while at != 0
        && let Some((before, place)) = origins.get(at as usize)
    {
        places.push(*place);
        at = *before;
    }
    let mut path = Vec::new();
    let Ok(mut state) = model.initial() else { return path };
    for place in places.into_iter().rev() {
        let mut events = Vec::new();
        model.events(&state, &mut events);
        let Some(event) = events.get(usize::from(place)).copied() else { return path };
        let Ok(next) = tidied(model, &state, event) else { return path };
        path.push(event);
        state = next;
    }
    path
}

fn fail<M: Model>(
    model: &mut M,
    report: ModelReport,
    broken: Broken,
    path: Vec<M::Event>,
    calm: &[M::Event],
) -> ModelReport {
    let mut state = model.initial().unwrap_or_default();
    let mut told = Vec::new();
    let searched = path.len();
    for (number, event) in path.into_iter().chain(calm.iter().take(TOLD).copied()).enumerate() {
        let told_now = model.tell(&state, event);
        told.push(if number < searched { told_now } else { format!("calmly: {told_now}") });
        let next = if number < searched { tidied(model, &state, event) } else { model.next(&state, event) };
        if let Ok(next) = next {
            state = next;
        }
    }
    let violation = ModelViolation { property: broken.property, what: broken.what, path: told };
    let local_states = model.local_states() as u64;
    ModelReport { complete: false, local_states, violation: Some(violation), ..report }
}
