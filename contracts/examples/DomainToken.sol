// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {aliasOf, callRollup} from "../SynchronousCall.sol";
import {Token} from "./Token.sol";

/// @title A token that also moves between rollups in the middle of a leg, through a synchronous call.
/// @notice What a contract has on another rollup is its alias's. `push` sends there, `pull` fetches back. If the frame
/// that moves something is reverted, both sides are: all supplies together stay what they were.
contract DomainToken is Token {
    /// @notice Only the token on that rollup may do this.
    /// @param source The rollup.
    /// @param caller Who tried to.
    error NotPeer(uint256 source, address caller);

    /// @dev A peer calls under its alias, which nobody else can call under.
    modifier onlyPeer(uint256 source) {
        if (msg.sender != aliasOf(source, peer(source))) revert NotPeer(source, msg.sender);
        _;
    }

    /// @notice Makes the token of one rollup.
    /// @param name_ The token's name.
    /// @param symbol_ Its short name.
    /// @param supply What the deployer has on this rollup from the start.
    constructor(string memory name_, string memory symbol_, uint256 supply) Token(name_, symbol_, supply) {}

    /// @notice Moves an amount of the caller to another rollup.
    /// @param rollup The rollup.
    /// @param to Who receives it there.
    /// @param amount How much.
    function push(uint256 rollup, address to, uint256 amount) external {
        destroy(msg.sender, amount);
        callRollup(rollup, peer(rollup), abi.encodeCall(this.mintFrom, (block.chainid, to, amount)));
    }

    /// @notice Moves an amount of the caller's alias on another rollup to the caller.
    /// @param rollup The rollup.
    /// @param amount How much.
    function pull(uint256 rollup, uint256 amount) external {
        callRollup(rollup, peer(rollup), abi.encodeCall(this.burnFor, (block.chainid, msg.sender, amount)));
        create(msg.sender, amount);
    }

    /// @notice For the token on another rollup, which has burnt so much.
    /// @param source The rollup.
    /// @param to Who receives it.
    /// @param amount How much.
    function mintFrom(uint256 source, address to, uint256 amount) external onlyPeer(source) {
        create(to, amount);
    }

    /// @notice For the token on another rollup, which will mint so much for an account there.
    /// @param source The rollup.
    /// @param owner The account there, whose alias has it here.
    /// @param amount How much.
    function burnFor(uint256 source, address owner, uint256 amount) external onlyPeer(source) {
        destroy(aliasOf(source, owner), amount);
    }
}
