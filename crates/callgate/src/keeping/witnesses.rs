//! Witnesses (C2SP tlog-witness): somebody else cosigns that the log has only grown since they saw it last. Their cosignatures are
//! kept with the checkpoint, so that exports have them.
//!
//! A witness learns the size of the log and a few hashes, and nothing of what is recorded.

use callgate_mcp::document::Document;
use callgate_mcp::http::header::{CONTENT_TYPE, USER_AGENT};
use callgate_mcp::http::{HeaderMap, HeaderValue};
use callgate_model::transparency::{
    Checkpoint, Cosigned, Path, Signature, Signed, Verifier, Witness, WitnessAnswer, add_checkpoint,
};
use callgate_store::{KeptCheckpoint, Store, prove};

/// How often a cosignature is added while others are.
const ATTEMPTS_MAX: usize = 8;

/// A witness as it is configured.
#[derive(Debug)]
pub(crate) struct WitnessConfig {
    /// Where it takes checkpoints.
    pub(crate) document: Document,
    /// Its key.
    pub(crate) key: Witness,
}

/// A witness that is asked.
pub(super) struct Asked {
    pub(super) witness: WitnessConfig,
    /// The keys of the log.
    pub(super) keys: Vec<Verifier>,
}

impl Asked {
    /// Has the newest checkpoint cosigned; `seen` is how many records the witness knows of, as far as we know.
    pub(super) async fn send(&self, store: &dyn Store, seen: u64) -> Result<u64, String> {
        let last = store.last_checkpoint().await.map_err(|error| error.to_string())?;
        let last = last.ok_or("there is no checkpoint any more")?;
        let signed = self.signed(&last.note)?;
        let answer = match self.ask(store, &signed, seen).await? {
            WitnessAnswer::LastSaw(size) if size != seen => self.ask(store, &signed, size).await?,
            answer @ (WitnessAnswer::Cosigned(_)
            | WitnessAnswer::LastSaw(_)
            | WitnessAnswer::Refused { .. }) => answer,
        };
        match answer {
            WitnessAnswer::Cosigned(signatures) => {
                self.keep(store, last, signed, &signatures).await
            }
            WitnessAnswer::LastSaw(size) => {
                Err(format!("the witness wants a proof from {size} records on, and refuses it"))
            }
            WitnessAnswer::Refused { status } => Err(refusal(status)),
        }
    }

    fn signed(&self, note: &str) -> Result<Signed, String> {
        Checkpoint::verify(note, &self.keys).map_err(|error| format!("the checkpoint: {error}"))
    }

    async fn ask(
        &self,
        store: &dyn Store,
        signed: &Signed,
        seen: u64,
    ) -> Result<WitnessAnswer, String> {
        let size = signed.checkpoint.size;
        if seen > size {
            // Either it is another gateway's newer one, or the store was put back to what it was before.
            return Err(format!("the witness has seen {seen} records, and the log has {size}"));
        }
        let proof = match seen {
            0 => Vec::new(),
            _ => {
                let path = Path::consistency(seen, size).ok_or("there is no such proof")?;
                prove(store, &path).await.map_err(|error| error.to_string())?
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let agent = concat!("callgate/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        let body = add_checkpoint(seen, &proof, &signed.note);
        let asked = self.witness.document.ask(headers, body).await;
        let (status, answer) = asked.map_err(|error| error.to_string())?;
        Ok(WitnessAnswer::read(status, &String::from_utf8_lossy(&answer)))
    }

    /// Adds the cosignature to the checkpoint, beside those that others add meanwhile.
    async fn keep(
        &self,
        store: &dyn Store,
        mut kept: KeptCheckpoint,
        mut signed: Signed,
        signatures: &[Signature],
    ) -> Result<u64, String> {
        for _ in 0..ATTEMPTS_MAX {
            let added = Cosigned::add(signed, &self.witness.key, signatures.to_vec());
            let cosigned = added.map_err(|error| error.to_string())?;
            let cosigned = cosigned.ok_or("what the witness answers is not signed by its key")?;
            let note = cosigned.signed.note.to_string();
            let failed = |error: callgate_store::StoreError| error.to_string();
            if note == kept.note || store.cosign_checkpoint(&kept, &note).await.map_err(failed)? {
                return Ok(kept.size);
            }
            let found = store.checkpoints(kept.size, 1).await.map_err(failed)?;
            let found = found.into_iter().find(|one| one.size == kept.size);
            kept = found.ok_or("the checkpoint is not there any more")?;
            signed = self.signed(&kept.note)?;
        }
        Err("others cosign all the time".to_owned())
    }
}

/// What a status of a witness means.
fn refusal(status: u16) -> String {
    let why = match status {
        400 => "it cannot read what it is sent",
        403 => "it does not know the log's key",
        404 => "it does not know the log",
        422 => "it does not accept the proof: the log is not the one that it has seen",
        _ => "it does not cosign",
    };
    format!("the witness answers with HTTP status {status}: {why}")
}
