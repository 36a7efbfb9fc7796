//! What makes objects invalid, one thing at a time.

use super::objects::{Maker, epoch};
use crate::{check::Check, invalid::Invalid, mock::MockScheme, mutations::Mutations, rules::Rules, verified::Verified};
use chorale_types::{
    BlockId, ChainId, Epoch, Height, High, QuorumCertificate, Signers, TimeoutCertificate, Tip, ValidatorIndex, View,
    codec::List, tagged_hash,
};

fn maker() -> Maker {
    Maker::new(epoch(&[1; 4], 100))
}

fn rules() -> Rules {
    Rules::new(maker().info, Mutations::default())
}

fn check_tip(tip: &Tip) -> Result<(), Invalid> {
    let (rules, verified) = (rules(), Verified::default());
    let mut check = Check::new(&rules, &verified);
    check.tip(tip)?;
    check.verify(&MockScheme::new(ValidatorIndex(0)))
}

fn check_timeouts(certificate: &TimeoutCertificate) -> Result<(), Invalid> {
    let (rules, verified) = (rules(), Verified::default());
    let mut check = Check::new(&rules, &verified);
    check.timeout_certificate(certificate)?;
    check.verify(&MockScheme::new(ValidatorIndex(0)))
}

fn check_certificate(certificate: &QuorumCertificate) -> Result<(), Invalid> {
    let (rules, verified) = (rules(), Verified::default());
    let mut check = Check::new(&rules, &verified);
    check.certificate(certificate)?;
    check.verify(&MockScheme::new(ValidatorIndex(0)))
}

fn changed(change: impl Fn(&mut chorale_types::Header)) -> Result<(), Invalid> {
    let maker = maker();
    let chain = maker.chain(&maker.start(), 1, 2);
    let mut header = maker.header(3, &chain[1].1);
    header.payloads = List::new(vec![maker.payload(header.author.0, 1), maker.payload(header.author.0, 2)]).unwrap();
    change(&mut header);
    check_tip(&maker.tip_of(header, None))
}

#[test]
fn headers() {
    let maker = maker();
    assert_eq!(changed(|_| {}), Ok(()));
    assert_eq!(changed(|header| header.chain = ChainId(tagged_hash("other", &[]))), Err(Invalid::Chain));
    assert_eq!(changed(|header| header.epoch = Epoch(1)), Err(Invalid::Epoch));
    assert_eq!(changed(|header| header.view = View(0)), Err(Invalid::View(View(0))));
    assert_eq!(changed(|header| header.view = View(u64::MAX)), Err(Invalid::View(View(u64::MAX))));
    assert_eq!(changed(|header| header.height = Height(4)), Err(Invalid::Height));
    assert!(matches!(changed(|header| header.author.0 = (header.author.0 + 1) % 4), Err(Invalid::Author { .. })));
    assert!(matches!(
        changed(|header| header.parent.view = View(7)),
        Err(Invalid::Signature | Invalid::ParentView { .. })
    ));
    assert_eq!(changed(|header| header.parent.epoch = Epoch(1)), Err(Invalid::Epoch));
    assert_eq!(changed(|header| header.parent.block.id = BlockId(tagged_hash("x", &[]))), Err(Invalid::Signature));
    // An old parent needs a reason.
    let chain = maker.chain(&maker.start(), 1, 1);
    let bare = maker.tip(3, &chain[0].1, None);
    assert_eq!(check_tip(&bare), Err(Invalid::Entry(View(3))));
}

#[test]
fn payloads_in_headers() {
    let payloads = |header: &mut chorale_types::Header, change: fn(&Maker, u16) -> Vec<_>| {
        header.payloads = List::new(change(&maker(), header.author.0)).unwrap();
    };
    let twice = changed(|header| payloads(header, |maker, by| vec![maker.payload(by, 1), maker.payload(by, 1)]));
    assert_eq!(twice, Err(Invalid::Payload));
    let foreign = changed(|header| payloads(header, |maker, by| vec![maker.payload((by + 1) % 4, 1)]));
    assert_eq!(foreign, Err(Invalid::Payload));
    let thin = |maker: &Maker, by: u16| {
        let mut payload = maker.payload(by, 1);
        payload.signers = Signers::of(4, [ValidatorIndex(0), ValidatorIndex(1)]);
        vec![payload]
    };
    assert_eq!(changed(|header| payloads(header, thin)), Err(Invalid::Payload));
    let expired = |maker: &Maker, by: u16| {
        let mut payload = maker.payload(by, 1);
        payload.acknowledged.expiry = View(2);
        vec![payload]
    };
    assert_eq!(changed(|header| payloads(header, expired)), Err(Invalid::Payload));
    let forged = |maker: &Maker, by: u16| {
        let mut payload = maker.payload(by, 1);
        payload.acknowledged.length += 1;
        vec![payload]
    };
    assert_eq!(changed(|header| payloads(header, forged)), Err(Invalid::Signature));
}

#[test]
fn reasons_of_headers() {
    let maker = maker();
    let chain = maker.chain(&maker.start(), 1, 3);
    let (old, new) = (High::Certified(chain[0].1.clone()), High::Certified(chain[1].1.clone()));
    let certificate = maker.timeouts(4, &[(0, old.clone()), (1, new.clone()), (2, old.clone())]);
    assert_eq!(check_tip(&maker.tip(5, &chain[1].1, Some(&certificate))), Ok(()));
    assert_eq!(check_tip(&maker.tip(5, &chain[0].1, Some(&certificate))), Err(Invalid::Entry(View(5))), "older");
    assert_eq!(check_tip(&maker.tip(6, &chain[1].1, Some(&certificate))), Err(Invalid::Entry(View(6))), "view");
    let voted = maker.timeouts(4, &[(0, old.clone()), (1, High::Voted(chain[2].0.clone())), (2, old)]);
    assert_eq!(check_tip(&maker.tip(5, &chain[1].1, Some(&voted))), Err(Invalid::Entry(View(5))), "a header is better");
    let needless = maker.timeouts(2, &[(0, new.clone()), (1, new.clone()), (2, new)]);
    assert_eq!(check_tip(&maker.tip(3, &chain[1].1, Some(&needless))), Err(Invalid::Entry(View(3))));
}

#[test]
fn timeout_certificates() {
    let maker = maker();
    let chain = maker.chain(&maker.start(), 1, 3);
    let (old, new) = (High::Certified(chain[0].1.clone()), High::Voted(chain[2].0.clone()));
    let good = maker.timeouts(3, &[(0, old.clone()), (1, new.clone()), (2, old.clone())]);
    assert_eq!(check_timeouts(&good), Ok(()));
    let mut wrong = good.clone();
    wrong.high = old.clone();
    assert_eq!(check_timeouts(&wrong), Err(Invalid::High(View(3))));
    let mut wrong = good.clone();
    let mut groups = good.quorum.groups.clone().into_vec();
    groups.reverse();
    wrong.quorum.groups = List::new(groups).unwrap();
    assert_eq!(check_timeouts(&wrong), Err(Invalid::Groups(View(3))));
    let overlapping = maker.timeouts(3, &[(0, old.clone()), (1, new.clone()), (1, old.clone()), (2, old.clone())]);
    assert_eq!(check_timeouts(&overlapping), Err(Invalid::Groups(View(3))));
    let mut empty = good.clone();
    empty.quorum.groups = List::default();
    assert_eq!(check_timeouts(&empty), Err(Invalid::Groups(View(3))));
    assert_eq!(
        check_timeouts(&maker.timeouts(3, &[(0, old.clone()), (1, new.clone())])),
        Err(Invalid::Quorum(View(3)))
    );
    let early = maker.timeouts(2, &[(0, old.clone()), (1, new), (2, old)]);
    assert_eq!(check_timeouts(&early), Err(Invalid::Rank(View(2))), "a header of a later view");
    let mut forged = good;
    forged.quorum.view = View(4);
    assert_eq!(check_timeouts(&forged), Err(Invalid::Signature));
}

#[test]
fn certificates() {
    let maker = maker();
    assert_eq!(check_certificate(&maker.start()), Ok(()));
    let mut other_start = maker.start();
    other_start.block.height = Height(1);
    assert!(check_certificate(&other_start).is_err());
    let block = maker.tip(2, &maker.start(), None).header.reference();
    assert!(matches!(check_certificate(&maker.certificate(1, block, &[0, 1, 2])), Err(Invalid::Reference(..))));
    assert_eq!(check_certificate(&maker.certificate(2, block, &[0, 1, 2])), Ok(()));
    let mut wide = maker.certificate(2, block, &[0, 1, 2]);
    wide.signers = Signers::of(5, [0, 1, 2, 4].map(ValidatorIndex));
    assert_eq!(check_certificate(&wide), Err(Invalid::Quorum(View(2))));
}

#[test]
fn what_was_verified_is_not_verified_again_and_only_that() {
    let (maker, rules) = (maker(), rules());
    let block = maker.tip(2, &maker.start(), None).header.reference();
    let mut certificate = maker.certificate(2, block, &[0, 1, 2]);
    let mut verified = Verified::default();
    verified.add_certificate(&certificate);
    let mut check = Check::new(&rules, &verified);
    check.certificate(&certificate).unwrap();
    assert_eq!(check.claims(), 0);
    certificate.signature = chorale_types::Signature::NONE;
    let mut check = Check::new(&rules, &verified);
    check.certificate(&certificate).unwrap();
    assert_eq!(check.claims(), 1);
}
