use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use callgate_model::json::{JsonLimits, read};

use super::*;

/// The key of RFC 8037, appendix A.
const KEY: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

fn signer(key: &str) -> Result<Signer, NotAKey> {
    Signer::new("https://gate.example".to_owned(), &key.into())
}

#[test]
fn a_key_is_known_by_its_thumbprint_however_it_is_written() {
    for key in [KEY, PEM, &format!("  {KEY}\r\n")] {
        let keys = signer(key).unwrap().published().to_text();
        assert_eq!(
            keys,
            r#"{"keys":[{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","use":"sig","alg":"EdDSA"}]}"#
        );
    }
}

#[test]
fn i7_what_is_no_key_is_refused_and_a_key_is_not_printed() {
    let another_kind = PEM.replace("PRIVATE KEY", "EC PRIVATE KEY");
    let unfinished = PEM.replace("-----END PRIVATE KEY-----", "");
    for bad in
        ["", "AAAA", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", &another_kind, &unfinished]
    {
        assert_eq!(signer(bad).err(), Some(NotAKey), "{bad}");
    }
    let printed = format!("{:?}", signer(KEY).unwrap());
    assert!(!printed.contains("nWGx") && printed.contains("kPrK_"), "{printed}");
}

#[test]
fn a_statement_is_signed_as_it_says() {
    let signer = signer(KEY).unwrap();
    let token = signer.sign("JWT", &Object::default().with("sub", "bot"));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let key = UnparsedPublicKey::new(&ED25519, signer.key.public_key().as_ref());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(key.verify(signed.as_bytes(), &signature).is_ok());
    let header = URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap();
    let header = read(&header, &JsonLimits::default()).unwrap();
    assert_eq!(
        header.to_text(),
        r#"{"alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","typ":"JWT"}"#
    );
}
