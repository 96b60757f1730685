"""Section 8: logging in, again and again."""

from __future__ import annotations

from ...decoder import Frame
from ...ed25519 import signed_bytes
from ...trace import shown
from ...verdict import Failed, Skipped, require, same
from ..catalogue import check
from ..peer import Peer
from ..referee import AUTHED
from ..stage import Stage
from ..world import BY_KEY, BY_PASSWORD, BY_TOKEN, DEVICE, PASSWORD

STAYS_AWAY_SECONDS = 2.5
RETRY_MS = 1500


@check("8.2", "8-5", "8-9")
def a_password_login(stage: Stage) -> None:
    """A new device logs in with handle and password, and names no device."""
    stage.live()
    (auth,) = stage.peer.named("AUTH")
    same((auth["method"], auth["handle"]), (BY_PASSWORD, stage.world.handle), "method and handle")
    same((auth["proof"], auth["device"]), (PASSWORD.encode(), None), "proof and device")


@check("8.2", "8-5")
def only_methods_that_are_offered(stage: Stage) -> None:
    """Where WELCOME lists no password, none is sent."""
    stage.world.welcome = {"methods": [BY_KEY, 99]}
    stage.hold("AUTH")
    stage.start()
    stage.expect("HELLO")
    stage.keep(1.5)
    for auth in stage.peer.named("AUTH"):
        if stage.peer.times[stage.peer.frames.index(auth)] - stage.peer.times[0] < 0.001:
            raise Skipped("the client logs in before it reads WELCOME, as it may (7-17)")
        require(auth["method"] != BY_PASSWORD, "no AUTH with a method that WELCOME does not list", auth.fields)


@check("8.2", "8-6", "8-15")
def the_device_is_kept(stage: Stage) -> None:
    """When its resume token is void the client logs in with the password, and names the device that it has."""
    peer = stage.live()
    stage.world.tokens.clear()
    peer.drop()
    stage.until_live(peer)
    last = stage.peer.named("AUTH")[-1]
    same((last["method"], last["device"]), (BY_PASSWORD, DEVICE), "method and device of the AUTH that succeeds")


@check("8.2", "8-6", level="L1")
def the_device_outlives_the_process(stage: Stage) -> None:
    """After kill -9 the client logs in as the same device, not as a new one."""
    stage.live()
    stage.keep(0.5)
    stage.world.tokens.clear()
    stage.restart()
    stage.until_live(stage.peer)
    last = stage.peer.named("AUTH")[-1]
    same((last["method"], last["device"]), (BY_PASSWORD, DEVICE), "method and device of the AUTH that succeeds")


@check("8.4", "8-13", must=False)
def the_resume_token_is_used(stage: Stage) -> None:
    """The next login is by the token of the last AUTH_OK, time after time."""
    peer = stage.live()
    for _ in range(2):
        newest = stage.world.tokens[-1]
        peer.drop()
        peer = stage.until_live(peer)
        (auth, *_) = peer.named("AUTH")
        same((auth["method"], auth["proof"]), (BY_TOKEN, newest), "method and proof")


@check("8.4", "8-13", level="L1", must=False)
def the_resume_token_outlives_the_process(stage: Stage) -> None:
    """After kill -9 the client logs in by the token of the last AUTH_OK."""
    stage.live()
    stage.keep(0.5)
    newest = stage.world.tokens[-1]
    stage.restart()
    (auth, *_) = stage.until_live(stage.peer).named("AUTH")
    same((auth["method"], auth["proof"]), (BY_TOKEN, newest), "method and proof")


@check("8.4", "8-14", "8-13")
def an_auth_ok_that_was_lost(stage: Stage) -> None:
    """The answer to a resumption is lost: the token before it still serves, and the client uses it."""
    peer = stage.live()
    token = stage.world.tokens[-1]
    stage.hold("AUTH")
    peer.drop()
    other = stage.next_peer(peer)
    auth = stage.expect("AUTH")
    if auth["method"] != BY_TOKEN:
        raise Skipped("the client does not resume")
    stage.release("AUTH")
    other.drop()
    third = stage.until_live(other)
    (again, *_) = third.named("AUTH")
    same((again["method"], again["proof"]), (BY_TOKEN, token), "method and proof of the next AUTH")


@check("8.3", "8-10", "8-11", "8-12")
def a_device_key(stage: Stage) -> None:
    """With WIRECHAT_KEY and WIRECHAT_DEVICE alone the client signs the nonce of this connection."""
    stage.hold("AUTH")
    driver = stage.start(password=False, key=True)
    stage.keep(stage.subject.patience, lambda: not driver.running or any(peer.named("AUTH") for peer in stage.peers))
    auths = [auth for peer in stage.peers for auth in peer.named("AUTH")]
    if not auths or auths[0]["method"] != BY_KEY:
        raise Skipped("the command does not log in with a device key")
    auth = auths[0]
    same((auth["device"], auth["binding"]), (DEVICE, 0), "device, that of WIRECHAT_DEVICE, and binding")
    stage.world.answer(stage.peer, auth)
    stage.release("AUTH")
    if stage.peer.state != AUTHED:
        signed = signed_bytes(stage.world.nonce, DEVICE, 0, b"")
        raise Failed(f"the signature of {shown(signed)} with WIRECHAT_KEY [8-10]", shown(auth["proof"]))
    stage.until_live()


@check("8.2", "15-5")
def a_wrong_password(stage: Stage) -> None:
    """After 2001 the client does not repeat the login by itself."""
    _asked_once(stage, 2001)


def _asked_once(stage: Stage, code: int) -> None:
    """AUTH is answered with this error, and no other comes."""
    stage.on("AUTH", lambda peer, auth: peer.refuse(auth, code))
    stage.start()
    stage.expect("AUTH")
    stage.keep(STAYS_AWAY_SECONDS)
    auths = sum(len(peer.named("AUTH")) for peer in stage.peers)
    require(auths == 1, "one AUTH", f"{auths}")


@check("14.2", "2-16", "14-2")
def no_password_here(stage: Stage) -> None:
    """After 2005 the password is not sent again by itself."""
    _asked_once(stage, 2005)


@check("8.2", "8-8", "14-2")
def locked_out(stage: Stage) -> None:
    """AUTH is answered 2006 with `retry_ms` 1500: the next one comes no earlier than that."""
    stage.hold("AUTH")
    stage.start()
    auth = stage.expect("AUTH")
    peer = stage.peer
    peer.refuse(auth, 2006, retry_ms=RETRY_MS)
    stage.keep(RETRY_MS / 1000 - 0.1)
    later = sum(len(each.named("AUTH")) for each in stage.peers) - 1
    require(later == 0, f"no AUTH for {RETRY_MS} ms", f"{later}")


@check("8.2", "14-2", "14-1")
def a_login_that_is_put_off(stage: Stage) -> None:
    """AUTH is answered 5000: surely not executed, so the client tries again later and gets in."""

    def once(peer: Peer, auth: Frame) -> None:
        if len(stage.peers) == 1 and len(peer.named("AUTH")) == 1:
            peer.refuse(auth, 5000, retry_ms=200)
        else:
            stage.world.answer(peer, auth)

    stage.on("AUTH", once)
    stage.start()
    stage.until_live()


@check("8.8", "8-30", "15-5")
def revoked(stage: Stage) -> None:
    """After ERROR 2003 the client does not come back by itself."""
    peer = stage.live()
    peer.fail(2003)
    stage.no_other(STAYS_AWAY_SECONDS, "after 2003")


@check("8.8", "8-30", "15-5")
def revoked_while_away(stage: Stage) -> None:
    """A login answered 2003 is the end too."""
    peer = stage.live()
    stage.hold("AUTH")
    peer.drop()
    stage.next_peer(peer)
    stage.peer.refuse(stage.expect("AUTH"), 2003)
    stage.keep(STAYS_AWAY_SECONDS)
    later = sum(len(each.named("AUTH")) for each in stage.peers) - len(peer.named("AUTH")) - 1
    require(later == 0, "no further AUTH", f"{later}")


@check("8.8", "8-30", level="L1")
def what_was_revoked_is_forgotten(stage: Stage) -> None:
    """Started again with the password, the client comes as a new device: no resume token, no device id."""
    peer = stage.live()
    peer.fail(2003)
    stage.keep(1.0)
    stage.world.tokens.clear()
    stage.hold("AUTH")
    stage.restart()
    stage.next_peer(peer)
    auth = stage.expect("AUTH")
    same((auth["method"], auth["device"]), (BY_PASSWORD, None), "method and device")
