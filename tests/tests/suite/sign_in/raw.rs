//! What no browser would send, to a gateway that people reach by `https`.

use callgate_tests::gateway::{Gateway, Setup};
use callgate_tests::wire::{Ask, Heard};

const HOST: &str = "gate.example";
const LINK: &str = "/console/sign-in/link";

struct World {
    gateway: Gateway,
}

impl World {
    async fn start() -> Self {
        let gateway = Setup::default()
            .known_as("https://gate.example")
            .section("[tokens]\n[servers.files]\nurl = \"http://127.0.0.1:1/mcp\"\ncatalog = \"filesystem\"\n")
            .file("policies/permits/none.cedar", "")
            .start()
            .await
            .unwrap();
        Self { gateway }
    }

    async fn send(&self, ask: Ask) -> Heard {
        ask.also("host", HOST).send(self.gateway.address).await.unwrap()
    }

    /// What is in a new link.
    async fn code(&self) -> String {
        let made = self.gateway.cli(&["console", "link"]).await.unwrap();
        let link = made.stdout.trim().to_owned();
        link.strip_prefix(&format!("https://{HOST}{LINK}?code=")).unwrap().to_owned()
    }

    /// Looks at a link: what the browser has to keep, and what the form has in it.
    async fn look(&self, code: &str) -> (String, String) {
        let page = self.send(Ask::page(&format!("{LINK}?code={code}"))).await;
        assert_eq!(page.status, 200, "{page:?}");
        let set = page.header("set-cookie").unwrap();
        let (pair, rest) = set.split_once("; ").unwrap();
        assert!(pair.starts_with("__Host-callgate-link="), "{set}");
        assert_eq!(rest, "Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(page.header(name), Some(value));
        }
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        let (_, csrf) = page.body.split_once("name=\"csrf\" value=\"").unwrap();
        (pair.to_owned(), csrf.split('"').next().unwrap().to_owned())
    }
}

fn form(code: &str, csrf: &str, next: &str) -> Ask {
    Ask::form(LINK, &format!("code={code}&next={next}&csrf={csrf}"))
}

#[tokio::test]
async fn a11_a_link_is_guarded_by_the_browser_that_was_shown_it_and_leads_nowhere_else() {
    let world = World::start().await;
    let code = world.code().await;
    let (guard, csrf) = world.look(&code).await;
    let (other, _) = world.look(&code).await;
    let planted = "__Host-callgate=planted";
    for refused in [
        form(&code, &csrf, ""),
        form(&code, &csrf, "").also("cookie", &other),
        form(&code, "", "").also("cookie", "__Host-callgate-link="),
        form(&code, &csrf, "").also("cookie", &guard.replace("__Host-", "")),
        form(&code, &csrf, "").also("cookie", &format!("{guard}; {guard}")),
        form(&code, &csrf, "").also("cookie", &guard).also("origin", "https://evil.example"),
        form(&code, &csrf, "").also("cookie", &guard).also("origin", "null"),
    ] {
        let heard = world.send(refused.clone()).await;
        assert_eq!(heard.status, 403, "{refused:?}: {heard:?}");
        assert_eq!(heard.header("set-cookie"), None);
    }
    let good = form(&code, &csrf, "//evil.example").also("cookie", &format!("{guard}; {planted}"));
    let signed_in = world.send(good.also("origin", "https://gate.example")).await;
    assert_eq!((signed_in.status, signed_in.header("location")), (303, Some("/console")));
    let set = signed_in.header("set-cookie").unwrap();
    let (session, rest) = set.split_once("; ").unwrap();
    assert!(session.len() == "__Host-callgate=".len() + 64 && !set.contains("planted"), "{set}");
    assert_eq!(rest, "Path=/; Max-Age=28800; HttpOnly; SameSite=Lax; Secure");

    // Policy lets the operator do nothing here: that it says so is that they are known.
    let known = world.send(Ask::page("/console").also("cookie", session)).await;
    assert_eq!(known.status, 403, "{known:?}");
    assert!(known.body.contains("Not allowed"));
    for unknown in [
        session.replace("__Host-", ""),
        planted.to_owned(),
        format!("{session}; {planted}"),
        guard.replace("-link", ""),
    ] {
        let heard = world.send(Ask::page("/console").also("cookie", &unknown)).await;
        assert_eq!(heard.status, 303, "{unknown}");
        assert!(heard.header("location").unwrap().starts_with("/console/sign-in?"));
    }
    let out = |more: &str| Ask::form("/console/sign-out", &format!("csrf={more}"));
    let forged = world.send(out("").also("cookie", session)).await;
    let foreign = out(&csrf).also("cookie", session).also("origin", "https://evil.example");
    let rebound = Ask::page("/console").also("cookie", session).also("host", "evil.example");
    let rebound = rebound.send(world.gateway.address).await.unwrap();
    assert_eq!((forged.status, world.send(foreign).await.status, rebound.status), (403, 403, 403));
    let still = world.send(Ask::page("/console").also("cookie", session)).await;
    assert_eq!(still.status, 403, "none of that ended it");
}

/// Of those who come with one link at one time, one is signed in.
#[tokio::test]
async fn a11_of_many_who_come_with_a_link_at_once_one_is_signed_in() {
    let world = World::start().await;
    let code = world.code().await;
    let mut browsers = Vec::new();
    for _ in 0..8 {
        browsers.push(world.look(&code).await);
    }
    let come: Vec<_> = browsers
        .into_iter()
        .map(|(guard, csrf)| {
            let ask = form(&code, &csrf, "").also("cookie", &guard).also("host", HOST);
            let address = world.gateway.address;
            tokio::spawn(async move { ask.send(address).await.unwrap().status })
        })
        .collect();
    let mut statuses = Vec::new();
    for status in come {
        statuses.push(status.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410, 410, 410, 410, 410, 410, 410]);
    let again = world.send(Ask::page(&format!("{LINK}?code={code}"))).await;
    assert_eq!(again.status, 410);
}
