//! Who sends chunks to whom when a payload is revealed.
//!
//! Everybody needs `k` chunks and holds its own; if all sent to all, everybody would download three payloads instead
//! of one. So validators stand in a circle, in an order drawn from the commitment, and each gets its chunks from those
//! that follow it, until there are enough. With equal weights everybody sends to as many as it receives from, and the
//! order, new for every payload, spreads what unequal weights make uneven. Sender and receiver compute the same.
//!
//! Only load depends on this order, neither safety nor secrecy: it need not be unpredictable, and who is not served
//! in turn asks the others.

use crate::Assignment;
use chorale_types::{Commitment, ValidatorIndex, tagged_hash};

/// The turns of one payload's reveal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The circle, with everybody's weight.
    circle: Vec<(ValidatorIndex, u16)>,
    /// Where everybody stands in it, by index.
    places: Vec<usize>,
    needed: u16,
}

/// From whom one validator gets the chunks of one payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Senders {
    /// Those whose turn it is, in order. With the receiver's own chunks they hold just enough: without any one of them
    /// it would be too few.
    pub first: Vec<ValidatorIndex>,
    /// All others with chunks, in the order to ask them in when some of the first fail.
    pub fallback: Vec<ValidatorIndex>,
}

impl Rotation {
    /// The turns for this payload.
    #[must_use]
    pub fn new(commitment: &Commitment, assignment: &Assignment) -> Self {
        let mut circle: Vec<_> =
            assignment.indices().map(|validator| (validator, assignment.weight(validator))).collect();
        circle.sort_by_cached_key(|(validator, _)| {
            (tagged_hash("chorale/rotation/v1", &[&commitment.0, &validator.0.to_be_bytes()]), *validator)
        });
        let mut places = vec![0; circle.len()];
        for (place, (validator, _)) in circle.iter().enumerate() {
            places[validator.as_usize()] = place;
        }
        Self { circle, places, needed: assignment.needed() }
    }

    /// From whom `receiver` gets chunks; `None` if it is not of the set. A validator without weight receives too.
    #[must_use]
    pub fn senders_to(&self, receiver: ValidatorIndex) -> Option<Senders> {
        let place = *self.places.get(receiver.as_usize())?;
        let first = self.first(place);
        let mut rest = first.iter().copied().peekable();
        // `first` is a subsequence of the circle, so one pass tells the others apart.
        let fallback = self.others(place).map(|(validator, _)| validator).filter(|it| rest.next_if_eq(it).is_none());
        Some(Senders { fallback: fallback.collect(), first })
    }

    /// To whom `sender` sends its chunks without being asked.
    #[must_use]
    pub fn receivers_of(&self, sender: ValidatorIndex) -> Vec<ValidatorIndex> {
        let places = (0..self.circle.len()).filter(|place| self.first(*place).contains(&sender));
        places.map(|place| self.circle[place].0).collect()
    }

    /// All with chunks who follow a place in the circle.
    fn others(&self, place: usize) -> impl Iterator<Item = (ValidatorIndex, u16)> {
        let (before, from) = self.circle.split_at(place);
        from[1..].iter().chain(before).copied().filter(|(_, weight)| *weight > 0)
    }

    fn first(&self, place: usize) -> Vec<ValidatorIndex> {
        let mut have = self.circle[place].1;
        let mut senders = Vec::new();
        for (validator, weight) in self.others(place) {
            if have >= self.needed {
                break;
            }
            have += weight;
            senders.push((validator, weight));
        }
        // The last one may bring more than was missing, and make earlier ones superfluous.
        let mut surplus = have.saturating_sub(self.needed);
        senders.retain(|(_, weight)| match surplus.checked_sub(*weight) {
            Some(rest) => {
                surplus = rest;
                false
            }
            None => true,
        });
        senders.into_iter().map(|(validator, _)| validator).collect()
    }
}
