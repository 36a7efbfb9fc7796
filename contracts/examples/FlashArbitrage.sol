// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {aliasOf, callRollup} from "../SynchronousCall.sol";
import {DomainToken} from "./DomainToken.sol";
import {IBorrower, Pool} from "./Pool.sol";
import {Token} from "./Token.sol";

/// @title Buys where it is cheap and sells on another rollup where it is dear, with money that it does not have.
/// @notice Borrows the second token of a pool here, sells it to a pool of another rollup, fetches what that brings, pays
/// the pool here and keeps the rest. All of it in one leg, which reverts as a whole if nothing would be left.
contract FlashArbitrage is IBorrower {
    /// @notice An arbitrage came to its end.
    /// @param amount What was borrowed.
    /// @param paid What it cost here.
    /// @param received What it brought there.
    event Arbitraged(uint256 amount, uint256 paid, uint256 received);

    /// @notice It would bring less than it costs, or less more than is wanted.
    /// @param paid What it would cost here.
    /// @param received What it would bring there.
    error Unprofitable(uint256 paid, uint256 received);
    /// @notice Only who deployed this may do that.
    error NotOwner();
    /// @notice Nobody has borrowed anything.
    error NotBorrowing();

    /// @notice Who gets what is left.
    address public immutable owner;
    /// @notice The pool of this rollup.
    Pool public immutable pool;
    /// @notice The other rollup.
    uint256 public immutable rollup;
    /// @notice The pool there.
    address public immutable otherPool;
    /// @notice The second token there.
    address public immutable otherY;

    bool private borrowing;

    /// @notice For one pair of pools.
    /// @param pool_ The pool of this rollup, of two DomainTokens.
    /// @param rollup_ The other rollup.
    /// @param otherPool_ The pool there, of their peers.
    /// @param otherY_ The second token there.
    constructor(Pool pool_, uint256 rollup_, address otherPool_, address otherY_) {
        (owner, pool, rollup, otherPool, otherY) = (msg.sender, pool_, rollup_, otherPool_, otherY_);
    }

    /// @notice Does it.
    /// @param amount How much of the second token to borrow here and sell there.
    /// @param least What must be left of the first token.
    function run(uint256 amount, uint256 least) external {
        if (msg.sender != owner) revert NotOwner();
        borrowing = true;
        pool.flash(0, amount, abi.encode(least));
        borrowing = false;
        Token x = pool.tokenX();
        x.transfer(owner, x.balanceOf(address(this)));
    }

    /// @inheritdoc IBorrower
    function onFlash(uint256, uint256 amount, bytes calldata data) external {
        if (msg.sender != address(pool) || !borrowing) revert NotBorrowing();
        uint256 least = abi.decode(data, (uint256));
        (DomainToken x, DomainToken y) = (DomainToken(address(pool.tokenX())), DomainToken(address(pool.tokenY())));
        // What is left in the pool here says what it costs, as if the amount were still there.
        (uint256 reserveX, uint256 reserveY) = pool.reserves();
        uint256 paid = (reserveX * amount + reserveY - 1) / reserveY;
        uint256 received = sell(y, amount);
        if (received < paid + least) revert Unprofitable(paid, received);
        x.pull(rollup, received);
        x.transfer(address(pool), paid);
        emit Arbitraged(amount, paid, received);
    }

    /// @dev This contract's alias sells there, and has what that brings.
    function sell(DomainToken y, uint256 amount) private returns (uint256) {
        address self = aliasOf(block.chainid, address(this));
        y.push(rollup, self, amount);
        callRollup(rollup, otherY, abi.encodeCall(Token.approve, (otherPool, amount)));
        bytes memory answer = callRollup(rollup, otherPool, abi.encodeCall(Pool.sellY, (amount, 0, self)));
        return abi.decode(answer, (uint256));
    }
}
