from accounts.services import SignIn


def test_signing_up_makes_the_platform_key(ann: SignIn) -> None:
    assert ann.user.platform_key.public_key.startswith("ssh-ed25519 ")
