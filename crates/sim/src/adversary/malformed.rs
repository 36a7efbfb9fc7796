use super::{Adversary, Hand};
use chorale_hotstuff::To;
use chorale_types::{
    Message, ValidatorIndex,
    codec::{Encode, decode},
};

/// A validator that damages messages, its own and those it hears, and sends on what still decodes.
#[derive(Debug)]
pub(super) struct Malformed;

const TRIES: u64 = 8;

impl Adversary for Malformed {
    fn send(&mut self, hand: &mut Hand<'_>, to: To, message: Message) {
        if let Some(damaged) = damaged(hand, &message) {
            hand.send(to, damaged);
        }
        hand.send(to, message);
    }

    fn receive(&mut self, hand: &mut Hand<'_>, from: ValidatorIndex, message: &Message) -> bool {
        if hand.random.chance(200)
            && let Some(damaged) = damaged(hand, message)
        {
            let to = if hand.random.chance(500) { To::All } else { To::One(from) };
            hand.send(to, damaged);
        }
        true
    }
}

fn damaged(hand: &mut Hand<'_>, message: &Message) -> Option<Message> {
    let bytes = message.encode().to_vec();
    for _ in 0..TRIES {
        let mut bytes = bytes.clone();
        let at = hand.random.index(bytes.len());
        match hand.random.below(3) {
            // Numbers at their limits are where arithmetic breaks.
            0 => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0xff),
            1 => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0),
            _ => bytes[at] ^= 1 << hand.random.below(8),
        }
        if let Ok(damaged) = decode::<Message>(bytes)
            && damaged != *message
        {
            return Some(damaged);
        }
    }
    None
}
