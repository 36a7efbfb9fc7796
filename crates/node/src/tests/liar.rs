//! A validator that does everything right but for what it says about payloads.

use crate::dispersal::{
    frames::{Frame, split},
    message::Message,
};
use chorale_foundation::{
    Bytes,
    actor::{Feedback, Unreliable},
    codec::Encode as _,
    cryptography::ed25519::PublicKey,
    p2p::{CheckedSender, LimitedSender, Recipients, simulated::Sender},
    runtime::{IoBufs, deterministic::Context},
};
use chorale_types::codec::decode;
use std::{sync::Arc, time::SystemTime};

/// What a message becomes on its way to a peer; none if it is not sent. May send others besides.
pub(super) type Lie =
    Arc<dyn Fn(&PublicKey, Message, &mut dyn FnMut(&PublicKey, &Message)) -> Option<Message> + Send + Sync>;

/// A connection that sends what the lie makes of each message. Without one, what it is given.
#[derive(Clone)]
pub(super) struct Liar {
    inner: Sender<PublicKey, Context>,
    lie: Option<Lie>,
}

impl Liar {
    pub(super) const fn new(inner: Sender<PublicKey, Context>, lie: Option<Lie>) -> Self {
        Self { inner, lie }
    }
}

pub(super) struct Checked<'a> {
    inner: <Sender<PublicKey, Context> as LimitedSender>::Checked<'a>,
    besides: Sender<PublicKey, Context>,
    lie: Option<Lie>,
}

impl LimitedSender for Liar {
    type PublicKey = PublicKey;
    type Checked<'a> = Checked<'a>;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Checked<'_>, SystemTime> {
        let besides = self.inner.clone();
        Ok(Checked { inner: self.inner.check(recipients)?, besides, lie: self.lie.clone() })
    }
}

impl CheckedSender for Checked<'_> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        self.inner.recipients()
    }

    fn send(mut self, message: impl Into<IoBufs> + Send, is_urgent: bool) -> Unreliable<Feedback> {
        let Some(lie) = &self.lie else { return self.inner.send(message, is_urgent) };
        let bytes = Bytes::from(message.into().coalesce());
        let frame: Frame = decode(bytes).unwrap();
        assert_eq!(frame.count, 1, "tests send short messages only");
        let message: Message = decode(frame.body.bytes().clone()).unwrap();
        let to = self.inner.recipients();
        let [to] = to.as_slice() else { panic!("messages about payloads go to one peer each: {to:?}") };
        let besides = &mut self.besides;
        let mut send = |to: &PublicKey, message: &Message| {
            chorale_foundation::p2p::Sender::send(
                besides,
                Recipients::One(to.clone()),
                framed(frame.message, message),
                false,
            );
        };
        match lie(to, message, &mut send) {
            Some(message) => self.inner.send(framed(frame.message, &message), is_urgent),
            None => Unreliable::Outcome(Feedback::Ok),
        }
    }
}

fn framed(number: u64, message: &Message) -> Bytes {
    let bytes = message.encode();
    let frames: Vec<Frame> = split(number, &bytes).collect();
    let [frame] = frames.as_slice() else { panic!("a lie fits into a frame") };
    frame.encode()
}
