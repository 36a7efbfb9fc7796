// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {ISynchronousCall, SYNCHRONOUS_CALL} from "../ISynchronousCall.sol";

/// @title For tests: does what its input says, step by step. Each step is a byte, and what belongs to it.
/// @dev `crates/evm/src/tests/scripts.rs` writes such inputs.
contract Script {
    /// @dev Where it notes what came of a call, of any kind.
    uint256 private constant ANSWER = 0xa0;

    error Asked();

    event Said(uint256 word);

    fallback() external {
        uint256 cursor = 0;
        while (cursor < msg.data.length) {
            uint8 step = uint8(msg.data[cursor++]);
            if (step == 1) {
                // Write: slot, value.
                set(uint8(msg.data[cursor]), uint8(msg.data[cursor + 1]));
                cursor += 2;
            } else if (step == 2) {
                // Count: slot.
                uint256 slot = uint8(msg.data[cursor++]);
                set(slot, get(slot) + 1);
            } else if (step == 4) {
                // Who called: notes the caller and the origin.
                set(0xc0, uint160(msg.sender));
                set(0xc1, uint160(tx.origin));
                set(0xc2, tx.gasprice);
                set(0xc3, block.chainid);
            } else if (step == 5) {
                emit Said(uint8(msg.data[cursor++]));
            } else if (step == 6) {
                // Call: kind, address, gas (0 for all), length, input.
                cursor = callOther(cursor);
            } else if (step == 7) {
                // Create: length, init code.
                uint256 length = uint16(bytes2(msg.data[cursor:cursor + 2]));
                bytes memory code = msg.data[cursor + 2:cursor + 2 + length];
                address created;
                assembly {
                    created := create2(0, add(code, 32), mload(code), 7)
                }
                set(ANSWER + 1, uint160(created));
                cursor += 2 + length;
            } else if (step == 8) {
                // Call another rollup: kind, rollup, address, gas (0 for all), length, input.
                cursor = callRemote(cursor);
            } else {
                end(step, cursor);
            }
        }
    }

    /// @dev Steps after which there is no other.
    function end(uint8 step, uint256 cursor) private view {
        if (step == 0x10) {
            revert Asked();
        } else if (step == 0x11) {
            assembly {
                invalid()
            }
        } else if (step == 0x12) {
            while (true) {}
        } else if (step == 0x14 || step == 0x15) {
            // Returns so many bytes, or reverts with them.
            uint256 length = uint24(bytes3(msg.data[cursor:cursor + 3]));
            assembly {
                if eq(step, 0x14) { return(0x80, length) }
                revert(0x80, length)
            }
        } else if (step == 0x16) {
            // Returns a slot.
            uint256 value = get(uint8(msg.data[cursor]));
            assembly {
                mstore(0, value)
                return(0, 32)
            }
        }
        assembly {
            stop()
        }
    }

    function callOther(uint256 cursor) private returns (uint256) {
        address to = address(bytes20(msg.data[cursor + 1:cursor + 21]));
        uint256 gas_ = uint32(bytes4(msg.data[cursor + 21:cursor + 25]));
        uint256 length = uint16(bytes2(msg.data[cursor + 25:cursor + 27]));
        make(uint8(msg.data[cursor]), to, gas_, msg.data[cursor + 27:cursor + 27 + length]);
        return cursor + 27 + length;
    }

    function callRemote(uint256 cursor) private returns (uint256) {
        uint256 rollup = uint64(bytes8(msg.data[cursor + 1:cursor + 9]));
        address target = address(bytes20(msg.data[cursor + 9:cursor + 29]));
        uint256 gas_ = uint32(bytes4(msg.data[cursor + 29:cursor + 33]));
        uint256 length = uint16(bytes2(msg.data[cursor + 33:cursor + 35]));
        bytes memory input = abi.encodeCall(ISynchronousCall.call, (rollup, target, msg.data[cursor + 35:cursor + 35 + length]));
        make(uint8(msg.data[cursor]), address(SYNCHRONOUS_CALL), gas_, input);
        return cursor + 35 + length;
    }

    /// @dev 0: CALL; 1: STATICCALL; 2: DELEGATECALL; 3: CALL with a wei; 5: CALL, and revert if it fails.
    function make(uint8 kind, address to, uint256 gas_, bytes memory input) private {
        if (gas_ == 0) gas_ = gasleft();
        bool success;
        assembly {
            let data := add(input, 32)
            let length := mload(input)
            switch kind
            case 1 { success := staticcall(gas_, to, data, length, 0, 0) }
            case 2 { success := delegatecall(gas_, to, data, length, 0, 0) }
            case 3 { success := call(gas_, to, 1, data, length, 0, 0) }
            default { success := call(gas_, to, 0, data, length, 0, 0) }
        }
        bytes32 said;
        uint256 size;
        assembly {
            let free := mload(0x40)
            size := returndatasize()
            returndatacopy(free, 0, size)
            said := keccak256(free, size)
            if and(eq(kind, 5), iszero(success)) { revert(free, size) }
        }
        set(ANSWER, uint256(keccak256(abi.encode(success, size, said, get(ANSWER)))));
    }

    function set(uint256 slot, uint256 value) private {
        assembly {
            sstore(slot, value)
        }
    }

    function get(uint256 slot) private view returns (uint256 value) {
        assembly {
            value := sload(slot)
        }
    }
}
