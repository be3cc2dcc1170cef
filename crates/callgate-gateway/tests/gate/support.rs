//! A gateway in this process, between a client that is the test and a simulated site that keeps a ledger.
//!
//! The site is reached over real HTTP, and the store fails when it is told to.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use callgate_gateway::assertion::Signer;
use callgate_gateway::catalog::Catalogs;
use callgate_gateway::credential::{Broker, Credential, Own, Scheme};
use callgate_gateway::identity::{Identities, Issuer, Registry};
use callgate_gateway::kept::ListLimits;
use callgate_gateway::listeners::StreamLimits;
use callgate_gateway::pin::ApprovedBy;
use callgate_gateway::pipeline::{ChannelRule, Gateway, SamePerson, Settings};
use callgate_gateway::recording::Recording;
use callgate_gateway::resource::Resources;
use callgate_gateway::server::Server;
use callgate_gateway::shadow::Shadow;
use callgate_gateway::spans::Telemetry;
use callgate_mcp::document::Document;
use callgate_mcp::inbound::HostRules;
use callgate_mcp::upstream::{EraSetting, Upstream, UpstreamConfig, UpstreamLimits};
use callgate_model::ambient::Ambient;
use callgate_model::evidence::audit::Auditor;
use callgate_model::json::{Json, JsonLimits, read};
use callgate_model::products::atlassian::{SiteEntry, SiteMap};
use callgate_model::target::Resource;
use callgate_policy::{Bundle, Source, Tier};
use callgate_sim::{Running, Sim, SimOptions, Site};
use callgate_store::testing::FaultyStore;
use callgate_store::{EvidenceLimits, EvidenceLog, EvidenceStore as _, Row};
use futures_util::future::BoxFuture;

use crate::people::everybody;
use crate::store::{InForce, ManualClock, Watched};

/// A policy without its annotations: tier, id, and the rest.
pub(crate) type Rule = (Tier, &'static str, &'static str);

/// Engineers and their automation may do everything in ENG, assistants may read; a deletion needs a lead.
pub(crate) const POLICIES: &[Rule] = &[
    (
        Tier::Permit,
        "engineers",
        r#"permit(principal in Group::"engineering", action, resource in Jira::Project::"acme/ENG");"#,
    ),
    (
        Tier::Permit,
        "automation",
        r#"permit(principal in AgentClass::"automation", action, resource in Jira::Project::"acme/ENG");"#,
    ),
    (
        Tier::Permit,
        "assistants",
        r#"permit(principal in AgentClass::"assistant", action in Action::"read", resource in Jira::Project::"acme/ENG");"#,
    ),
    (Tier::Approval, "deletes", r#"forbid(principal, action in Action::"delete", resource);"#),
];

/// The credential of the site. No client ever presents it.
pub(crate) const UPSTREAM_SECRET: &str = "upstream-canary";

/// The site of the simulator.
pub(crate) const CLOUD: &str = "https://acme.atlassian.net";

/// How a world is made.
pub(crate) struct Setup {
    pub(crate) policies: Vec<Rule>,
    pub(crate) sim: SimOptions,
    pub(crate) upstream: UpstreamLimits,
    pub(crate) era: EraSetting,
    pub(crate) tools: ListLimits,
    pub(crate) evidence: EvidenceLimits,
    pub(crate) json: JsonLimits,
    pub(crate) calls_in_flight_max: usize,
    pub(crate) reveal: bool,
    pub(crate) streams: StreamLimits,
    /// Whose tokens are accepted beside the static ones.
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) public_url: Option<&'static str>,
    /// What the site is called with, if it is not its secret. Then it takes anything.
    pub(crate) broker: Option<Broker>,
    /// Who says of calls that they went through the gate, to all servers.
    pub(crate) signer: Option<Arc<Signer>>,
    /// Catalog files beside the shipped ones.
    pub(crate) catalogs: &'static [(&'static str, &'static str)],
    /// Whether what can move is asked for before it is changed.
    pub(crate) confirms_moves: bool,
    /// People with several accounts.
    pub(crate) same_person: SamePerson,
    /// How long a request is held for an approval.
    pub(crate) hold: Duration,
    /// And of a client that shows its page.
    pub(crate) page_hold: Duration,
    /// By which channels people are told.
    pub(crate) channels: Vec<ChannelRule>,
    /// Who approves the tools of all servers.
    /// Who owns what: a kind, an id and a team each.
    pub(crate) owners: &'static [(&'static str, &'static str, &'static str)],
    /// Which of them are told when somebody breaks the glass.
    pub(crate) break_glass: &'static [&'static str],
    pub(crate) approved_by: ApprovedBy,
    /// The address of the products' own interfaces.
    pub(crate) rest: Option<String>,
    /// More servers: name, catalog and address; without an address, the simulated site.
    pub(crate) servers: Vec<(&'static str, &'static str, Option<String>)>,
    pub(crate) telemetry: Telemetry,
    pub(crate) recording: Recording,
    /// Whether policies are not enforced for a time.
    pub(crate) shadow: Option<Shadow>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            policies: POLICIES.to_vec(),
            sim: SimOptions { token: Some(UPSTREAM_SECRET.to_owned()), ..SimOptions::default() },
            upstream: UpstreamLimits::default(),
            era: EraSetting::Auto,
            tools: ListLimits::default(),
            evidence: EvidenceLimits {
                append_timeout: Duration::from_secs(10),
                probe_interval: Duration::from_millis(20),
                linger: Duration::from_millis(1),
                ..EvidenceLimits::default()
            },
            json: JsonLimits::default(),
            calls_in_flight_max: 64,
            reveal: true,
            streams: StreamLimits::default(),
            issuers: Vec::new(),
            public_url: None,
            broker: None,
            signer: None,
            catalogs: &[],
            confirms_moves: false,
            same_person: Vec::new(),
            hold: Duration::ZERO,
            page_hold: Duration::from_millis(200),
            channels: Vec::new(),
            owners: &[],
            break_glass: &[],
            approved_by: ApprovedBy::Nobody,
            rest: None,
            servers: Vec::new(),
            telemetry: Telemetry::default(),
            recording: Recording { arguments: true, ..Recording::default() },
            shadow: None,
        }
    }
}

impl Setup {
    fn settings(&mut self) -> Settings {
        Settings {
            json: self.json,
            resources: Resources { public_url: self.public_url.map(str::to_owned) },
            hosts: HostRules::new(["gate.test"], []),
            calls_in_flight_max: self.calls_in_flight_max,
            reveal_denied_tools: self.reveal,
            streams: self.streams,
            sealing: None,
            recording: self.recording.clone(),
            signer: self.signer.clone(),
            telemetry: std::mem::take(&mut self.telemetry),
            same_person: self.same_person.clone(),
            hold: self.hold,
            page_hold: self.page_hold,
            channels: self.channels.clone(),
            owners: self
                .owners
                .iter()
                .map(|(kind, id, team)| (Resource::new(*kind, *id), (*team).to_owned()))
                .collect(),
            break_glass: self.break_glass.iter().map(|name| (*name).to_owned()).collect(),
            console: Some("https://gate.example/console".to_owned()),
        }
    }
}

/// A running gateway and everything around it.
pub(crate) struct World {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) sim: Arc<Running>,
    pub(crate) faults: Arc<FaultyStore>,
    pub(crate) store: Arc<Watched>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) in_force: Arc<InForce>,
    /// Follows what the store says is in force.
    _following: AbortOnDrop,
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl World {
    /// On the heap: there is much in it.
    pub(crate) fn start(setup: Setup) -> BoxFuture<'static, Self> {
        Box::pin(Self::begin(setup))
    }

    async fn begin(mut setup: Setup) -> Self {
        let settings = setup.settings();
        let mut broker = setup.broker.take();
        if broker.is_some() {
            setup.sim.token = None;
        }
        let exchanged = broker.iter().filter_map(Broker::exchanges).map(str::to_owned).collect();
        let sim = Arc::new(Sim::start(Site::demo(), setup.sim).await.unwrap());
        let catalogs = catalogs(setup.catalogs);
        let address = |url: &Option<String>| url.clone().unwrap_or_else(|| sim.url.clone());
        let servers = std::iter::once(("atlassian", "atlassian-rovo", None))
            .chain(setup.servers)
            .map(|(name, catalog, url)| {
                let config = UpstreamConfig {
                    url: address(&url).parse().unwrap(),
                    limits: setup.upstream,
                    era: setup.era,
                };
                let catalog = catalogs.for_server(name, catalog, sites()).unwrap();
                let credential = Credential::new(Scheme::Bearer, &UPSTREAM_SECRET.into()).unwrap();
                let upstream = Upstream::new(config).unwrap();
                let usual = Broker::Own(Own::Static(credential));
                let broker = broker.take().unwrap_or(usual);
                let server = Server::new(name, upstream, catalog, broker, setup.tools)
                    .approved_by(setup.approved_by)
                    .confirming_moves(setup.confirms_moves)
                    .in_shadow(setup.shadow)
                    .with_rest(setup.rest.iter().flat_map(|url| rest(url)).collect());
                match setup.signer.clone() {
                    Some(signer) => server.with_assertion(signer, address(&url)),
                    None => server,
                }
            })
            .collect();
        let clock = Arc::new(ManualClock::default());
        let ambient: Arc<dyn Ambient> = Arc::<ManualClock>::clone(&clock);
        let store = Arc::new(Watched::new(Arc::downgrade(&sim)).await);
        let faults = Arc::new(FaultyStore::new(Arc::<Watched>::clone(&store)));
        let evidence = EvidenceLog::open(
            Arc::<FaultyStore>::clone(&faults),
            Arc::clone(&ambient),
            setup.evidence,
        );
        let (evidence, _) = evidence.await.unwrap();
        let bundle = bundle(&catalogs, &setup.policies, setup.catalogs.is_empty());
        let inner = Arc::clone(&store.inner);
        let in_force = Arc::new(InForce { inner, is_down: AtomicBool::default() });
        let kept = Arc::<InForce>::clone(&in_force);
        let registry = Registry::open(kept, ambient.now()).await.unwrap();
        let identities =
            Identities::new(everybody()).with_issuers(setup.issuers).with_registry(registry);
        let identities = identities.keeping_tokens_of(exchanged);
        let gateway = Gateway::new(settings, servers, identities, bundle, evidence, ambient);
        let gateway = Arc::new(gateway);
        let following = Arc::clone(&gateway);
        let following = AbortOnDrop(tokio::spawn(async move {
            following.follow_authority().await;
        }));
        Self { gateway, sim, faults, store, clock, in_force, _following: following }
    }

    /// The same after the site has gone. What is in its place was never told to the gateway.
    pub(crate) async fn without_site(self) -> Self {
        Arc::into_inner(self.sim).unwrap().stop().await;
        // For the closed connections to be noticed; one of them could still be written to.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let sim = Arc::new(Sim::start(Site::demo(), SimOptions::default()).await.unwrap());
        Self { sim, ..self }
    }

    /// Closes the record and gives all of it. Whatever a test did, it keeps the rules.
    pub(crate) async fn record(&self) -> Vec<Row> {
        self.gateway.close().await;
        let mut auditor = Auditor::new();
        for row in self.store.read(0, u32::MAX).await.unwrap() {
            auditor.entry(row.entry.as_bytes(), Some(row.text.as_bytes())).unwrap();
        }
        self.store.rows()
    }

    /// The outcomes in the record, which is closed.
    pub(crate) async fn outcomes(&self) -> Vec<String> {
        self.record().await.into_iter().filter_map(|row| row.outcome).collect()
    }

    /// How many `tools/call` requests the site was sent, whatever became of them.
    pub(crate) fn calls_sent(&self) -> usize {
        let is_call = |body: &str| body.contains("\"method\":\"tools/call\"");
        self.sim.ledger().requests().iter().filter(|request| is_call(&request.body)).count()
    }

    /// How many calls the site executed.
    pub(crate) fn executed(&self) -> usize {
        self.sim.ledger().entries().len()
    }
}

/// Jira and Confluence at `url`.
fn rest(url: &str) -> [((String, String), Document); 2] {
    ["Jira", "Confluence"].map(|product| {
        let limits = UpstreamLimits::default();
        let document = Document::new(url.parse().unwrap(), limits).unwrap();
        (("acme".to_owned(), product.to_owned()), document)
    })
}

/// The URL of a server that is down: its port was free a moment ago.
pub(crate) async fn nobody_there() -> String {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/mcp", taken.local_addr().unwrap())
}

/// Waits for what must happen soon.
pub(crate) async fn soon(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not happen");
}

pub(crate) fn json(text: &str) -> Json {
    let limits = JsonLimits { bytes_max: 16 << 20, nodes_max: 1 << 20, ..JsonLimits::default() };
    read(text.as_bytes(), &limits).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn bundle(catalogs: &Catalogs, rules: &[Rule], shipped: bool) -> Arc<Bundle> {
    // Loading takes most of the time of a test, so the usual one is shared.
    static USUAL: OnceLock<Arc<Bundle>> = OnceLock::new();
    if shipped && rules == POLICIES {
        return Arc::clone(USUAL.get_or_init(|| Arc::new(load(catalogs, POLICIES))));
    }
    Arc::new(load(catalogs, rules))
}

/// The bundle of these rules.
pub(crate) fn load(catalogs: &Catalogs, rules: &[Rule]) -> Bundle {
    let sources: Vec<Source> = rules
        .iter()
        .map(|(tier, id, rest)| {
            let names_none = *tier == Tier::Approval && !rest.contains("@approval");
            let gate = if names_none { "@approval(\"team:leads\") " } else { "" };
            let text = format!("@id(\"{id}\") @reason(\"a test\") @owner(\"tests\") {gate}{rest}");
            Source { tier: *tier, name: "test.cedar".to_owned(), text }
        })
        .collect();
    Bundle::load(catalogs.vocabulary(), &sources).unwrap_or_else(|found| panic!("{found:#?}"))
}

pub(crate) fn catalogs(extra: &[(&str, &str)]) -> Catalogs {
    static SHIPPED: OnceLock<Catalogs> = OnceLock::new();
    if extra.is_empty() {
        return SHIPPED.get_or_init(|| Catalogs::shipped(&[]).unwrap()).clone();
    }
    Catalogs::shipped(extra).unwrap_or_else(|found| panic!("{found:#?}"))
}

pub(crate) fn sites() -> SiteMap {
    let acme = SiteEntry {
        alias: "acme".to_owned(),
        cloud_id: Some(Site::demo().cloud_id),
        url: Some(CLOUD.to_owned()),
    };
    SiteMap::new(&[acme], Some("acme")).unwrap()
}
