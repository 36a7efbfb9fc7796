//! Validators that do not play by the rules, each in a file of its own.
//!
//! Most wrap a correct state machine and change what it says or hears; [`Kind::Puppet`] replaces it: all puppets share
//! one mind, which knows everything any of them has heard, signs for all of them, and says what is legal but hurts.

mod coalition;
mod double_voter;
mod equivocator;
mod flooder;
mod hider;
mod malformed;
mod puppet;
mod withholders;

pub use coalition::Coalition;

use crate::{epochs, random::Random};
use chorale_hotstuff::To;
use chorale_types::{EpochInfo, Message, Scheme, Signature, Statement, TimestampMs, ValidatorIndex, View};
use std::fmt::Debug;

/// How a validator attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Signs two headers in a view and shows each to some.
    Equivocator,
    /// Never proposes.
    SilentLeader,
    /// Collects votes and keeps the certificate to itself.
    CertificateWithholder,
    /// Never votes, or only to one of the two leaders.
    VoteWithholder,
    /// Times out with a certificate older than the best it knows.
    StaleHigh,
    /// Times out without the header that it voted for.
    HiddenTip,
    /// Votes for everything it sees, in any view.
    DoubleVoter,
    /// Two correct instances run with one key.
    Twins,
    /// Sends well-formed messages with wrong signatures.
    Flooder,
    /// Sends damaged messages that still decode.
    Malformed,
    /// One of those who follow one mind.
    Puppet,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Equivocator,
        Self::SilentLeader,
        Self::CertificateWithholder,
        Self::VoteWithholder,
        Self::StaleHigh,
        Self::HiddenTip,
        Self::DoubleVoter,
        Self::Twins,
        Self::Flooder,
        Self::Malformed,
        Self::Puppet,
    ];

    /// One that attacks so.
    #[must_use]
    pub fn adversary(self) -> Box<dyn Adversary> {
        match self {
            Self::Equivocator => Box::new(equivocator::Equivocator),
            Self::SilentLeader => Box::new(withholders::SilentLeader),
            Self::CertificateWithholder => Box::new(withholders::CertificateWithholder),
            Self::VoteWithholder => Box::new(withholders::VoteWithholder),
            Self::StaleHigh => Box::new(hider::Hider { stale: true }),
            Self::HiddenTip => Box::new(hider::Hider { stale: false }),
            Self::DoubleVoter => Box::new(double_voter::DoubleVoter),
            Self::Twins => Box::new(Twin),
            Self::Flooder => Box::new(flooder::Flooder),
            Self::Malformed => Box::new(malformed::Malformed),
            Self::Puppet => Box::new(puppet::Puppet),
        }
    }
}

/// What an adversary does with what its state machine says and hears.
pub trait Adversary: Debug {
    /// The state machine wants to send this.
    fn send(&mut self, hand: &mut Hand<'_>, to: To, message: Message) {
        hand.send(to, message);
    }

    /// This arrived. Whether the state machine gets to see it.
    fn receive(&mut self, _hand: &mut Hand<'_>, _from: ValidatorIndex, _message: &Message) -> bool {
        true
    }

    /// Some time has passed.
    fn wake(&mut self, _hand: &mut Hand<'_>) {}
}

/// One of two instances; each is correct.
#[derive(Debug)]
struct Twin;

impl Adversary for Twin {}

/// What an adversary can use.
#[derive(Debug)]
pub struct Hand<'a> {
    /// Which node it is.
    pub node: usize,
    /// The epoch it is in.
    pub info: &'a EpochInfo,
    /// The view its state machine is in.
    pub view: View,
    /// Its clock.
    pub now: TimestampMs,
    /// Its dice.
    pub random: &'a mut Random,
    /// What all Byzantine validators know together.
    pub coalition: &'a mut Coalition,
    /// What is sent, and by which node of the coalition.
    pub out: Vec<(usize, To, Message)>,
}

impl Hand<'_> {
    /// Its index.
    #[must_use]
    pub fn index(&self) -> ValidatorIndex {
        epochs::index_of(self.node)
    }

    /// Sends a message.
    pub fn send(&mut self, to: To, message: Message) {
        self.out.push((self.node, to, message));
    }

    /// Sends a message to everybody of a random choice.
    pub fn send_to_some(&mut self, message: &Message) {
        self.send_to_some_as(self.node, message);
    }

    /// The same from another node of the coalition: the mesh knows who sends what.
    pub fn send_to_some_as(&mut self, node: usize, message: &Message) {
        let share = *self.random.pick(&[150, 400, 700, 1000]).unwrap_or(&1000);
        for index in self.info.validators.indices() {
            if index != epochs::index_of(node) && self.random.chance(share) {
                self.out.push((node, To::One(index), message.clone()));
            }
        }
    }

    /// Signs as any of the coalition.
    #[must_use]
    pub fn sign(&self, node: usize, statement: &Statement) -> Signature {
        epochs::scheme(node).sign(self.info.chain, self.info.epoch, statement)
    }
}
