//! Golden files of what goes over the wire. A difference is a change of format, which needs a new version of it.
//! They are written anew only by `UPDATE_FIXTURES=1 cargo test -p chorale-dispersal`.

use super::{assignment, noise, sealed};
use crate::{SealedReference, ValidatorChunks, open};
use chorale_types::{
    ValidatorIndex,
    codec::{Encode, Read, decode},
};
use std::path::PathBuf;

const WEIGHTS: [u16; 4] = [1, 2, 3, 4];

fn golden(name: &str, bytes: &[u8]) {
    let path = PathBuf::from("fixtures").join(name);
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(&path, hex::encode(bytes) + "\n").unwrap();
    }
    assert_eq!(hex::encode(bytes), std::fs::read_to_string(path).unwrap().trim(), "the format of {name} changed");
}

fn read<T: Read<Cfg = ()>>(name: &str) -> T {
    let path = PathBuf::from("fixtures").join(name);
    decode(hex::decode(std::fs::read_to_string(path).unwrap().trim()).unwrap()).unwrap()
}

#[test]
fn sealing_and_messages_are_as_they_were_and_what_is_stored_opens() {
    let sealed = sealed(&noise(100), &assignment(&WEIGHTS));
    golden("reference.hex", &sealed.reference().encode());
    for validator in [1, 2] {
        let chunks = sealed.chunks_of(ValidatorIndex(validator)).unwrap();
        golden(&format!("validator-chunks-{validator}.hex"), &chunks.encode());
    }
    let reference: SealedReference = read("reference.hex");
    let chunks: [ValidatorChunks; 2] = [read("validator-chunks-1.hex"), read("validator-chunks-2.hex")];
    assert_eq!(open(&reference, &assignment(&WEIGHTS), &chunks).unwrap().payload, noise(100));
}
