//! One payload on its way from chunks to content.

use chorale_dispersal::{Added, Assignment, Opening, Refused, Rotation, SealedReference, ValidatorChunks};
use chorale_types::{AvailabilityCertificate, Commitment, Epoch, EpochInfo, Manifest, TimestampMs, ValidatorIndex};
use std::{collections::BTreeMap, sync::Arc};

use crate::{dispersal::message::Wants, ports::Position};

/// Rounds of questions after which everything is asked for at once, opened, instead of chunks.
const ROUNDS_OF_CHUNKS: u32 = 2;

/// When to ask for what did not come by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long the validators whose turn it is have before others are asked.
    pub ask_after_ms: u64,
    /// The longest pause between two rounds of questions; it doubles from `ask_after_ms` up to this.
    pub ask_interval_ms_max: u64,
}

/// The collection of one payload's chunks and manifest.
///
/// Says when whom to ask for what. Chunks come unasked from those whose turn it is ([`Rotation`]); who misses some asks
/// the others, and in the end anybody for the opened payload: also the validators of the present epoch, if the payload
/// is of an older one. Every answer is checked, so whom to ask is a matter of load only.
#[derive(Debug)]
pub struct Exchange {
    certificate: AvailabilityCertificate,
    /// Whose validators hold the chunks.
    epoch: Arc<EpochInfo>,
    opening: Opening,
    assignment: Assignment,
    manifest: Option<Manifest>,
    /// All with chunks except this node, in the order to ask them in.
    order: Vec<ValidatorIndex>,
    /// Where in `order` the next question of each kind goes. One turn for all would step in time with the number of
    /// validators, and ask one that is dead for the same thing for ever.
    next_chunks: usize,
    next_manifest: usize,
    next_payload: usize,
    /// The same among the validators of the present epoch.
    next_present: usize,
    round: u32,
    ask_at: TimestampMs,
    /// Who was asked for chunks first when.
    asked: BTreeMap<ValidatorIndex, TimestampMs>,
    patience: Patience,
}

/// A question to one validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Of which epoch it is one: that of the payload or the present one.
    pub epoch: Epoch,
    /// To whom.
    pub to: ValidatorIndex,
    /// For what.
    pub wants: Wants,
}

impl Exchange {
    /// Starts to collect, for the node `me` of `epoch` (none if it only follows). `late` says that the payload was
    /// revealed long ago by everybody else: nobody will send chunks unasked.
    #[must_use]
    pub fn new(
        certificate: AvailabilityCertificate,
        epoch: &Arc<EpochInfo>,
        assignment: Assignment,
        me: Option<ValidatorIndex>,
        late: bool,
        now: TimestampMs,
        patience: Patience,
    ) -> Self {
        let rotation = Rotation::new(&certificate.commitment(), &assignment);
        let order = match me.and_then(|me| rotation.senders_to(me)) {
            Some(senders) => [senders.fallback, senders.first].concat(),
            None => epoch.validators.indices().filter(|index| Some(*index) != me).collect(),
        };
        let opening = Opening::new(reference_of(&certificate), assignment.clone());
        let (round, ask_at) = match late {
            true => (ROUNDS_OF_CHUNKS, now),
            false => (0, TimestampMs(now.0 + patience.ask_after_ms)),
        };
        Self {
            // Nodes that are behind miss one payload after the other; not all of them ask the same validator first.
            next_present: usize::from(certificate.commitment().0[0]),
            certificate,
            epoch: epoch.clone(),
            opening,
            assignment,
            manifest: None,
            order,
            next_chunks: 0,
            next_manifest: 0,
            next_payload: 0,
            round,
            ask_at,
            asked: BTreeMap::new(),
            patience,
        }
    }

    /// What the header says of the payload.
    #[must_use]
    pub const fn certificate(&self) -> &AvailabilityCertificate {
        &self.certificate
    }

    /// The payload.
    #[must_use]
    pub const fn commitment(&self) -> Commitment {
        self.certificate.commitment()
    }

    /// The assignment that it is sealed for.
    #[must_use]
    pub const fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// The manifest, if it is here.
    #[must_use]
    pub const fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Takes chunks from whoever sent them.
    ///
    /// # Errors
    ///
    /// Wrong chunks: their sender is at fault.
    pub fn add(&mut self, sender: ValidatorIndex, chunks: &ValidatorChunks) -> Result<Added, Refused> {
        self.opening.add(sender, chunks)
    }

    /// Takes the manifest. Returns false if it is another one than the certificate names.
    pub fn add_manifest(&mut self, manifest: Manifest) -> bool {
        if self.manifest.is_some() {
            return true;
        }
        let right = manifest.digest() == self.certificate.acknowledged.manifest;
        if right {
            self.manifest = Some(manifest);
        }
        right
    }

    /// Whether there are enough chunks, and the manifest, to open the payload.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.opening.missing() == 0 && self.manifest.is_some()
    }

    /// The chunks collected.
    #[must_use]
    pub const fn opening(&self) -> &Opening {
        &self.opening
    }

    /// When [`Exchange::questions`] is due.
    #[must_use]
    pub const fn deadline(&self) -> TimestampMs {
        self.ask_at
    }

    /// The next round of questions, if it is due. `present`: where consensus is.
    pub fn questions(&mut self, now: TimestampMs, present: &Position) -> Vec<Question> {
        if now < self.ask_at || self.is_complete() {
            return Vec::new();
        }
        let payload = self.round >= ROUNDS_OF_CHUNKS && self.round.is_multiple_of(2);
        let mut questions = Vec::new();
        if payload {
            questions.extend(self.ask_for_payload(present));
        } else {
            self.ask_for_chunks(now, &mut questions);
            if self.manifest.is_none() {
                let to = take_turn(&self.order, &mut self.next_manifest);
                questions.extend(to.map(|to| Question { epoch: self.epoch.epoch, to, wants: Wants::Manifest }));
            }
        }
        let pause = self.patience.ask_after_ms.checked_shl(self.round.min(16)).unwrap_or(u64::MAX);
        self.round += 1;
        self.ask_at = TimestampMs(now.0 + pause.clamp(1, self.patience.ask_interval_ms_max));
        questions
    }

    /// Who acknowledged chunks and did not show them when asked, with time enough to answer. No proof of anything: it may
    /// be down, or its answer lost.
    pub fn withheld(&self, now: TimestampMs) -> impl Iterator<Item = ValidatorIndex> {
        let late = move |asked: &TimestampMs| now.0 >= asked.0.saturating_add(self.patience.ask_after_ms);
        let owes =
            move |index: ValidatorIndex| self.certificate.signers.contains(index) && !self.opening.contains(index);
        self.asked.iter().filter(move |(index, asked)| late(asked) && owes(**index)).map(|(index, _)| *index)
    }

    /// Whoever has opened the payload may answer. After the set has changed, those who hold its chunks may be out of reach
    /// for good: then those of the present validators are asked who were there, and if none was, any of them.
    fn ask_for_payload(&mut self, present: &Position) -> Option<Question> {
        let wants = Wants::Payload;
        if self.epoch.epoch == present.epoch.epoch {
            let to = take_turn(&self.order, &mut self.next_payload)?;
            return Some(Question { epoch: self.epoch.epoch, to, wants });
        }
        let others = present.epoch.validators.iter().filter(|(index, _)| Some(*index) != present.index);
        let (there, new): (Vec<_>, Vec<_>) =
            others.partition(|(_, validator)| self.epoch.validators.index_of(&validator.node).is_some());
        let asked = if there.is_empty() { new } else { there };
        let asked: Vec<ValidatorIndex> = asked.into_iter().map(|(index, _)| index).collect();
        let to = take_turn(&asked, &mut self.next_present)?;
        Some(Question { epoch: present.epoch.epoch, to, wants })
    }

    /// As many as hold what is missing, if all of them answer.
    fn ask_for_chunks(&mut self, now: TimestampMs, questions: &mut Vec<Question>) {
        let mut missing = self.opening.missing();
        for _ in 0..self.order.len() {
            if missing == 0 {
                break;
            }
            let Some(to) = take_turn(&self.order, &mut self.next_chunks) else { break };
            if !self.opening.contains(to) {
                missing = missing.saturating_sub(self.assignment.weight(to));
                questions.push(Question { epoch: self.epoch.epoch, to, wants: Wants::Chunks });
                self.asked.entry(to).or_insert(now);
            }
        }
    }
}

fn take_turn(order: &[ValidatorIndex], next: &mut usize) -> Option<ValidatorIndex> {
    let to = *order.get(*next % order.len().max(1))?;
    *next += 1;
    Some(to)
}

/// The name of the sealed payload in a certificate.
#[must_use]
pub fn reference_of(certificate: &AvailabilityCertificate) -> SealedReference {
    let acknowledged = &certificate.acknowledged;
    SealedReference {
        builder: acknowledged.builder,
        commitment: acknowledged.commitment,
        length: acknowledged.length,
        expiry: acknowledged.expiry,
    }
}
