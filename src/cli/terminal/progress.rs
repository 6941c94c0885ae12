//! What a pull shows while it runs: bars on a terminal, plain lines elsewhere.
//!
//! On a terminal the layers that are being fetched have a bar each with rate and remaining time,
//! below them a line for the whole; a layer that is done leaves Docker's line behind. So the
//! screen never holds more bars than layers are fetched at once. Elsewhere only the lines are
//! written. All of it goes to standard error.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::oci::Descriptor;
use crate::pull::{LayerEvent, Observer};

const LAYER: &str = "{prefix}: {msg:<14} [{bar:30}] {decimal_bytes:>9}/{decimal_total_bytes:<9} \
    {decimal_bytes_per_sec:>10} {eta:>4}";
const TOTAL: &str = "{prefix:<12}  {msg:<14} [{bar:30}] {decimal_bytes:>9}/{decimal_total_bytes:<9} \
    {decimal_bytes_per_sec:>10} {eta:>4}";

/// Shows a pull.
pub struct Progress {
    bars: Option<MultiProgress>,
    silent: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    layers: Vec<Descriptor>,
    active: HashMap<usize, ProgressBar>,
    total: Option<ProgressBar>,
    /// Bytes of each layer that count in the total.
    counted: HashMap<usize, u64>,
}

impl Progress {
    /// `silent` shows nothing, `draw` bars.
    pub fn new(silent: bool, draw: bool) -> Self {
        let bars = (draw && !silent)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12)));
        Self { bars, silent, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves nothing here that could be half done.
        self.state.lock().unwrap_or_else(|held| held.into_inner())
    }

    /// A line that stays.
    fn line(&self, text: &str) {
        if self.silent {
            return;
        }
        // There is nobody to tell that nobody listens.
        let _ = match &self.bars {
            Some(bars) => bars.println(text),
            None => std::io::stderr().write_all(format!("{text}\n").as_bytes()),
        };
    }

    fn bar(
        &self,
        state: &mut State,
        position: usize,
        message: &'static str,
    ) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        if let Some(bar) = state.active.get(&position) {
            bar.set_message(message);
            return Some(bar.clone());
        }
        let layer = state.layers.get(position)?;
        let bar = ProgressBar::new(layer.size).with_style(style(LAYER));
        let bar = bars.insert_from_back(usize::from(state.total.is_some()), bar);
        bar.set_prefix(short(layer));
        bar.set_message(message);
        state.active.insert(position, bar.clone());
        Some(bar)
    }

    /// A layer that needs no bar any more.
    fn finish(&self, position: usize, message: &str) {
        let mut state = self.state();
        if let Some(bar) = state.active.remove(&position) {
            bar.finish_and_clear();
        }
        let size = state.layers.get(position).map_or(0, |layer| layer.size);
        let counted = state.counted.insert(position, size).unwrap_or(0);
        if let Some(total) = &state.total {
            total.inc(size.saturating_sub(counted));
        }
        let name = state.layers.get(position).map(short).unwrap_or_default();
        drop(state);
        self.line(&format!("{name}: {message}"));
    }

    fn say(&self, position: usize, message: &'static str) {
        let mut state = self.state();
        if self.bar(&mut state, position, message).is_none() {
            let name = state.layers.get(position).map(short).unwrap_or_default();
            drop(state);
            self.line(&format!("{name}: {message}"));
        }
    }

    /// Removes everything that is still drawn.
    pub fn clear(&self) {
        let mut state = self.state();
        for (_, bar) in state.active.drain() {
            bar.finish_and_clear();
        }
        if let Some(total) = state.total.take() {
            total.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// The first twelve digits of a layer's digest.
fn short(layer: &Descriptor) -> String {
    crate::cli::format::short(&layer.digest)
}

impl Observer for Progress {
    fn layers(&self, layers: &[Descriptor]) {
        let mut state = self.state();
        state.layers = layers.to_vec();
        if let Some(bars) = &self.bars {
            let total = layers.iter().map(|layer| layer.size).sum();
            let bar = bars.add(ProgressBar::new(total).with_style(style(TOTAL)));
            bar.set_prefix("total");
            state.total = Some(bar);
        }
    }

    fn layer(&self, position: usize, event: LayerEvent) {
        match event {
            LayerEvent::Checking => {
                let mut state = self.state();
                self.bar(&mut state, position, "Checking");
            }
            LayerEvent::Waiting => self.say(position, "Waiting"),
            LayerEvent::Started { .. } => self.say(position, "Pulling"),
            LayerEvent::Progress { bytes } => {
                let mut state = self.state();
                if let Some(bar) = state.active.get(&position) {
                    bar.inc(bytes);
                }
                *state.counted.entry(position).or_default() += bytes;
                if let Some(total) = &state.total {
                    total.inc(bytes);
                }
            }
            LayerEvent::Restarted => {
                let mut state = self.state();
                let counted = state.counted.remove(&position).unwrap_or(0);
                if let Some(total) = &state.total {
                    total.set_position(total.position().saturating_sub(counted));
                }
                if let Some(bar) = self.bar(&mut state, position, "Pulling again") {
                    bar.reset();
                }
            }
            LayerEvent::Done => self.finish(position, "Pull complete"),
            LayerEvent::Exists => self.finish(position, "Already exists"),
        }
    }

    fn merging(&self) {
        if let Some(total) = &self.state().total {
            total.set_message("Merging");
        }
    }
}
