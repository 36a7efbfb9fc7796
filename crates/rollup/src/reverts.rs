//! Why a contract reverted, in words, where it says so in the ways that Solidity has for it.

use alloy_primitives::U256;

/// `Error(string)`.
const ERROR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
/// `Panic(uint256)`.
const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];

/// The reason, if there is one.
pub(crate) fn reason(output: &[u8]) -> Option<String> {
    let (selector, arguments) = output.split_first_chunk()?;
    match *selector {
        ERROR => {
            let offset = word(arguments, 0)?;
            let length = word(arguments, offset)?;
            let start = offset.checked_add(32)?;
            let text = arguments.get(start..start.checked_add(length)?)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        PANIC => {
            let code = word(arguments, 0)?;
            Some(panic(code).map_or_else(|| format!("unknown panic code: {code:#x}"), str::to_owned))
        }
        _ => None,
    }
}

/// The number at an offset, if it can be one of bytes.
fn word(bytes: &[u8], offset: usize) -> Option<usize> {
    let word = bytes.get(offset..offset.checked_add(32)?)?;
    U256::from_be_slice(word).try_into().ok()
}

/// In the words of other clients.
const fn panic(code: usize) -> Option<&'static str> {
    Some(match code {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;

    #[test]
    fn reasons_are_those_of_solidity_and_nothing_else_is_one() {
        let mut said = hex!(
            "08c379a0" "0000000000000000000000000000000000000000000000000000000000000020"
            "0000000000000000000000000000000000000000000000000000000000000005"
            "6e6f206661000000000000000000000000000000000000000000000000000000"
        );
        assert_eq!(reason(&said).as_deref(), Some("no fa"));
        assert_eq!(reason(&said[..72]), None);
        said[35] = 0xff;
        assert_eq!(reason(&said), None);
        said[4] = 0xff;
        assert_eq!(reason(&said), None);
        let mut panic = [PANIC.as_slice(), &[0; 32]].concat();
        for (code, words) in [(0x11, "arithmetic underflow or overflow"), (0x99, "unknown panic code: 0x99")] {
            panic[35] = code;
            assert_eq!(reason(&panic).as_deref(), Some(words));
        }
        for other in [&[][..], &[1, 2, 3], b"because"] {
            assert_eq!(reason(other), None);
        }
    }
}
