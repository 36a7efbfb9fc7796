//! A leader that shows each of its headers to some validators only, so that a chain is certified of which nobody has all.

use super::cluster::{Cluster, identity, secret};
use crate::consensus::wire::Wire;
use chorale_foundation::{
    Bytes,
    cryptography::{Signer as _, ed25519::PublicKey},
    p2p::{Recipients, Sender as _, simulated},
    runtime::{
        Runner as _,
        deterministic::{Context, Runner},
    },
};
use chorale_hotstuff::Votes;
use chorale_types::{
    Bls, Entry, EpochInfo, Header, Height, High, Message, Proposal, QuorumCertificate, Scheme as _, Signature, Signers,
    Statement, TimeoutCertificate, TimeoutGroup, TimeoutQuorum, TimestampMs, Tip, ValidatorIndex, View,
    codec::{Encode as _, List},
};

const NODES: usize = 4;
/// The leader of all the headers.
const FAULTY: usize = 3;

/// Signs for everybody.
struct Hand(EpochInfo);

impl Hand {
    fn sum(&self, statement: &Statement) -> (Signers, Signature) {
        let sign = |i| Bls::signer(secret(i)).sign(self.0.chain, self.0.epoch, statement);
        let signatures: Vec<Signature> = (0..NODES).map(sign).collect();
        let signers = Signers::of(NODES, self.0.validators.iter().map(|(index, _)| index));
        (signers, Bls::verifier().aggregate(&signatures).unwrap())
    }

    /// Views that the faulty validator leads, from a view on.
    fn leads(&self, view: View) -> bool {
        self.0.leader(view) == ValidatorIndex(u16::try_from(FAULTY).unwrap())
    }

    /// A header of a view on this certificate. Unless they follow each other, the view between was given up.
    fn tip(&self, view: View, parent: &QuorumCertificate) -> Tip {
        let header = Header {
            chain: self.0.chain,
            epoch: self.0.epoch,
            view,
            height: parent.block.height.next(),
            parent: parent.clone(),
            timestamp: TimestampMs(view.0),
            payloads: List::default(),
            author: self.0.leader(view),
        };
        let entry = (parent.view.next() != view).then(|| self.given_up(View(view.0 - 1), parent).quorum);
        let statement = Statement::Tip { view, id: header.id() };
        let signature = Bls::signer(secret(header.author.as_usize())).sign(self.0.chain, self.0.epoch, &statement);
        Tip { header: header.into(), entry, signature }
    }

    fn certificate(&self, tip: &Tip) -> QuorumCertificate {
        let (view, block) = (tip.header.view, tip.header.reference());
        let (signers, signature) = self.sum(&Statement::Vote { view, block });
        QuorumCertificate { epoch: self.0.epoch, view, block, signers, signature }
    }

    fn given_up(&self, view: View, high: &QuorumCertificate) -> TimeoutCertificate {
        let high = High::Certified(high.clone());
        let rank = high.rank();
        let (signers, signature) = self.sum(&Statement::Timeout { view, rank });
        let groups = List::new(vec![TimeoutGroup { rank, signers, signature }]).unwrap();
        TimeoutCertificate { quorum: TimeoutQuorum { epoch: self.0.epoch, view, groups }, high }
    }
}

struct Leader {
    cluster: Cluster,
    sender: simulated::Sender<PublicKey, Context>,
}

impl Leader {
    fn say(&mut self, to: impl IntoIterator<Item = usize>, message: Message) {
        let to = to.into_iter().map(|i| identity(i).public_key()).collect();
        let bytes: Bytes = Wire::Consensus(message).encode();
        self.sender.send(Recipients::Some(to), bytes, true);
    }

    /// Waits until the others have put this header where they find it again, because they vote for it.
    async fn until_voted(&self, by: &[usize], tip: &Tip) {
        let (height, id) = (tip.header.height, tip.header.id());
        for i in by {
            while self.cluster.chain(*i).headers.uncommitted(height, &id).is_none() {
                self.cluster.sleep_ms(1).await;
            }
        }
    }
}

#[test]
fn a_chain_of_which_nobody_has_all_is_put_together() {
    Runner::timed(std::time::Duration::from_secs(120)).start(|context| async move {
        let mut cluster = Cluster::new(context, NODES, 100_000, Votes::Leaders).await;
        for i in 0..FAULTY {
            cluster.start(i, "disk", true).await;
            for other in 0..i {
                cluster.cut_pair(i, other, true).await;
            }
        }
        let hand = Hand(cluster.first_epoch().clone());
        let sender = cluster.channel_of(FAULTY).await.0;
        let mut leader = Leader { cluster, sender };

        // Nobody saw all three of the headers, and no two are of views that follow each other: nothing is committed.
        let mut parent = hand.0.start_certificate();
        let mut chain = Vec::new();
        for shown in [[0, 1], [1, 2], [0, 2]] {
            let view = (parent.view.0 + 2..).map(View).find(|view| hand.leads(*view)).unwrap();
            let tip = hand.tip(view, &parent);
            leader.say(shown, Message::Proposal(Proposal::Fresh(tip.clone())));
            leader.until_voted(&shown, &tip).await;
            parent = hand.certificate(&tip);
            leader.say(0..FAULTY, Message::Entry(Entry::Certified(parent.clone())));
            chain.push(tip.header);
        }
        for i in 0..FAULTY {
            assert_eq!(leader.cluster.height(i), Height(0));
            let has =
                |header: &Header| leader.cluster.chain(i).headers.uncommitted(header.height, &header.id()).is_some();
            assert_eq!(chain.iter().filter(|header| has(header)).count(), 2, "node {i}");
        }

        // Two that do follow each other commit all.
        let both = |view: &View| hand.leads(*view) && hand.leads(view.next());
        let view = (parent.view.0 + 2..).map(View).find(both).unwrap();
        for view in [view, view.next()] {
            let tip = hand.tip(view, &parent);
            leader.say(0..FAULTY, Message::Proposal(Proposal::Fresh(tip.clone())));
            leader.until_voted(&[0, 1, 2], &tip).await;
            parent = hand.certificate(&tip);
            chain.push(tip.header);
        }
        leader.say(0..FAULTY, Message::Entry(Entry::Certified(parent)));
        leader.cluster.sleep_ms(100).await;
        assert_eq!(leader.cluster.top(), Height(0), "nobody can put it together alone");
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            leader.cluster.cut_pair(a, b, false).await;
        }
        leader.cluster.until(Height(10)).await;
        for header in &chain[..4] {
            assert_eq!(leader.cluster.chain(0).headers.get(header.height).await.unwrap().header, *header);
        }
    });
}
