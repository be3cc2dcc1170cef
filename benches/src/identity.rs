//! What it costs to know who is asking: a static token, a token of the gateway's own, and a JWT of an issuer whose keys are
//! fetched from here. The same calls, in one run.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::child::Child;
use crate::gateway::{self, Extra};
use crate::load::Load;
use crate::{Failure, RUN, report};

const PERMITS: &str = r#"
@id("ada") @reason("measured") @owner("bench")
permit(principal == User::"issuer/ada", action in Action::"read", resource in Jira::Project::"acme/ENG");
@id("bot") @reason("measured") @owner("bench")
permit(principal == Agent::"release-bot", action in Action::"read", resource in Jira::Project::"acme/ENG");
"#;

/// Compares them.
pub(crate) async fn measure() -> Result<(), Failure> {
    let upstream = Child::of_this(&["upstream"]).await?;
    let key = Ed25519KeyPair::generate().map_err(|_unspecified| "no key")?;
    let issuer = publish(&key).await?;
    let sections = format!(
        "[issuers.issuer]\nissuer = \"{issuer}\"\njwks_url = \"{issuer}/keys\"\naudiences = [\"bench\"]\n\
         [issuers.issuer.agents.bot]\nname = \"release-bot\"\n[tokens]\n"
    );
    let extra = Extra { sections, permits: PERMITS.to_owned() };
    let gateway = gateway::start(&upstream.address, 10, 0, &extra).await?;
    let jwt = sign(&key, &issuer)?;
    let own = gateway.own_token().await?;
    for (name, token) in [
        ("static token", gateway::TOKEN.to_owned()),
        ("token of its own", own),
        ("JWT, remembered", jwt),
    ] {
        // For the whole run, which ends with the program.
        let token: &'static str = token.leak();
        let load = Load { token: Some(token), ..Load::of_gateway(16) };
        let measured = load.run(&gateway.child, Some(&gateway.child), RUN).await?;
        report(&format!("gateway, reads, {name}"), 16, &measured, None);
    }
    Ok(())
}

/// Serves the key to whoever asks.
async fn publish(key: &Ed25519KeyPair) -> Result<String, Failure> {
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let keys = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"1","x":"{x}"}}]}}"#
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let issuer = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut asked = [0; 2048];
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{keys}",
                keys.len()
            );
            // Who goes away before the answer asks again.
            if socket.read(&mut asked).await.is_ok() {
                socket.write_all(answer.as_bytes()).await.ok();
            }
        }
    });
    Ok(issuer)
}

#[expect(clippy::disallowed_methods, reason = "the gateway under test has the real clock")]
fn sign(key: &Ed25519KeyPair, issuer: &str) -> Result<String, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (made, ends) = (now.saturating_sub(60), now + 3600);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"at+jwt","kid":"1"}"#);
    let claims = format!(
        r#"{{"iss":"{issuer}","sub":"ada","client_id":"bot","aud":"bench","iat":{made},"exp":{ends}}}"#
    );
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
