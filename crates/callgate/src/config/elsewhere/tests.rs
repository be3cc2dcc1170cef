use std::path::Path;

use crate::config::Config;
use crate::config::tests::premises;
use crate::keeping::Elsewhere;
use crate::keeping::sinks::Receiver;

const HEAD: &str = concat!(
    premises!(),
    r#"[servers.atlassian]
url = "http://127.0.0.1:1/mcp"
catalog = "atlassian-rovo"
[tokens]
"#
);

const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBjzCCATWgAwIBAgIUUJgs11hISscVUWfhWi6iBpufQmQwCgYIKoZIzj0EAwIw\n\
HDEaMBgGA1UEAwwRYXV0aG9yaXR5LmV4YW1wbGUwIBcNMjYxMTI4MDIzMjIzWhgP\n\
MjEyNjExMDQwMjMyMjNaMBwxGjAYBgNVBAMMEWF1dGhvcml0eS5leGFtcGxlMFkw\n\
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+8V+vj/rSv8s+MSJAkpn4SADWlQitsI5\n\
TVgS3jEKyRRhtUjouaDLoRv5f/QlL0tkdaJmECbilopYVWrZpb9TvKNTMFEwHQYD\n\
VR0OBBYEFCdVWVlWCQ/Y0b40SuSyqS7IEYQVMB8GA1UdIwQYMBaAFCdVWVlWCQ/Y\n\
0b40SuSyqS7IEYQVMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIg\n\
fGU6RB1nhQfcNtNFAh02uDN1iMDHK+JZ71v7a46c/+kCIQCeuP+aIGpbmqXrKxWn\n\
7tFfZIB5xtg5uFMnnRsQOIHAjg==\n\
-----END CERTIFICATE-----\n\
";

const WITNESS: &str = "example.com/w+71527b00+BJvc5Ygz9C4bcLiPlJeQYVHBEiZ4vZcvleqiGuBG7OfU";

const FILE: &str = "[evidence.sinks.copy]\nkind = \"file\"\npath = \"copy.jsonl\"\n";
const SYSLOG: &str = "[evidence.sinks.siem]\nkind = \"syslog\"\naddress = \"siem.example:6514\"\n";
const OTLP: &str = "[evidence.sinks.otlp]\nkind = \"otlp\"\nurl = \"https://otel.example:4318\"\n";
const HOOK: &str = "[evidence.sinks.hook]\nkind = \"webhook\"\nurl = \"https://hooks.example/in\"\nsecrets = [{ file = \"hook.secret\" }]\n";
const BUCKET: &str = "[evidence.anchors.bucket]\nkind = \"s3\"\nurl = \"https://store.example\"\nbucket = \"log\"\nregion = \"x\"\nkey_id = \"AK\"\nsecret = { file = \"put.secret\" }\n";
const PUT: &str = "[evidence.anchors.vault]\nkind = \"put\"\nurl = \"https://vault.example/log\"\ncredential = { scheme = \"basic\", file = \"put.secret\" }\n";
const DISK: &str =
    "[evidence.anchors.disk]\nkind = \"file\"\npath = \"/mnt/worm/checkpoints.jsonl\"\n";

fn read(sections: &str) -> Result<Elsewhere, String> {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("hook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    put("put.secret", "sesame\n");
    put("ca.pem", AUTHORITY);
    let file: &Path = &folder.path().join("callgate.toml");
    let config =
        Config::parse(&format!("{HEAD}{sections}"), file).map_err(|found| found.to_string())?;
    let debug = format!("{config:?}");
    assert!(!debug.contains("sesame") && !debug.contains("MfKQ"), "{debug}");
    Ok(*config.evidence.elsewhere)
}

fn witness() -> String {
    format!("[evidence.witnesses.w1]\nurl = \"https://witness.example/\"\nkey = \"{WITNESS}\"\n")
}

#[test]
fn places_are_read() {
    let all = [
        FILE,
        "format = \"csv\"\nrotate_mb = 64\nkeep = 3\nfrom = \"start\"\ndecisions = [\"deny\", \"approval_required\"]\n",
        SYSLOG,
        "authority = \"ca.pem\"\nformat = \"ocsf\"\nkinds = [\"change\"]\neffects = [\"write\", \"delete\"]\n",
        OTLP,
        "headers.authorization = { file = \"put.secret\" }\nservice = \"gate\"\nattributes = { \"deployment.environment.name\" = \"test\" }\n",
        HOOK,
        "lines = true\nformat = \"ecs\"\n",
        PUT,
        BUCKET,
        DISK,
        &HOOK.replace("sinks", "anchors"),
        &witness(),
    ];
    let found = read(&all.concat()).unwrap();
    let sinks: Vec<_> = found.sinks.values().map(|sink| (sink.kind(), sink.from_start)).collect();
    assert_eq!(sinks, [("file", true), ("webhook", false), ("otlp", false), ("syslog", false)]);
    let anchors: Vec<_> = found.anchors.values().map(|anchor| anchor.kind()).collect();
    assert_eq!(anchors, ["s3", "file", "webhook", "put"]);
    assert!(format!("{:?}", found.witnesses["w1"]).contains("/add-checkpoint"));
    let Receiver::File(file, _) = &found.sinks["copy"].receiver else { panic!("no file") };
    assert!(file.path().is_absolute(), "it is beside the configuration");
    let plain = "[evidence.sinks.siem]\nkind = \"syslog\"\naddress = \"[::1]:514\"\ndanger_plain_tcp = true\n";
    assert!(read(plain).is_ok());
}

#[test]
fn what_makes_no_sense_is_told() {
    let local = |section: &str| section.replace("https://", "http://");
    let with = |section: &str, more: &str| format!("{section}{more}\n");
    for (sections, told) in [
        (with(FILE, "fromage = 1"), "unknown field `fromage`"),
        (with(FILE, "from = \"then\""), "`then` is neither `now` nor `start`"),
        (with(FILE, "format = \"xml\""), "can be `ocsf`"),
        (with(FILE, "kinds = [\"call\"]"), "`call` is none of change, intent"),
        (with(FILE, "decisions = [\"maybe\"]"), "`maybe` is none of allow"),
        (with(FILE, "effects = [\"harm\"]"), "`harm` is none of read, write"),
        (with(FILE, "rotate_mb = 0"), "`rotate_mb` is from 1"),
        (with(FILE, "keep = 3"), "is of `rotate_mb`, which is not there"),
        (FILE.replace("file", "fax"), "say `file`, `syslog`, `otlp` or `webhook`"),
        (FILE.replace("sinks.copy", "sinks.Copy"), "a name is of a-z"),
        (FILE.to_owned() + &FILE.replace("copy]", "other]"), "something else is written to"),
        (SYSLOG.replace(":6514", ""), "is not `host:port`"),
        (SYSLOG.replace("siem.example:", ":"), "is not `host:port`"),
        (with(SYSLOG, "authority = \"hook.secret\""), "there is no certificate in it"),
        (with(SYSLOG, "authority = \"no.pem\""), "no.pem` cannot be read"),
        (with(SYSLOG, "certificate = \"ca.pem\""), "`certificate` and `key` go together"),
        (
            with(SYSLOG, "certificate = \"ca.pem\"\nkey = { file = \"put.secret\" }"),
            "`key` is no private key in PEM",
        ),
        (
            with(SYSLOG, "authority = \"ca.pem\"\ndanger_plain_tcp = true"),
            "certificates are of TLS",
        ),
        (with(OTLP, "format = \"ecs\""), "have one form"),
        (local(OTLP), "would cross the network unprotected"),
        (local(HOOK), "what agents and people do would cross the network unprotected"),
        (with(HOOK, "format = \"cef\""), "a webhook takes JSON"),
        (HOOK.replace("hook.secret", "put.secret"), "it is not `whsec_`"),
        (local(PUT), "would cross the network unprotected"),
        (PUT.replace("basic", "digest"), "neither `bearer` nor `basic`"),
        (BUCKET.replace("example\"", "example/eu\""), "the address of a store has no path"),
        (BUCKET.replace("https", "http"), "unprotected"),
        (BUCKET.replace("key_id = \"AK\"\n", ""), "missing field `key_id`"),
        (DISK.replace("file", "tape"), "say `file`, `webhook`, `put` or `s3`"),
        (witness().replace("+71", "+72"), "the key's hash does not fit"),
        (local(&witness()), "would cross the network unprotected"),
        ((0..17).map(|n| SYSLOG.replace("siem]", &format!("s{n}]"))).collect(), "more than 16"),
    ] {
        let found = read(&sections).map(|_| ()).unwrap_err();
        assert!(found.contains(told), "{sections}\n{found}");
        assert!(!found.contains("sesame"), "{found}");
    }
    assert!(read(&with(&local(OTLP), "danger_plain_http = true")).is_ok());
}
