//! Commands about images: `pull`, `ls`, `inspect`, `history`, `layers`, `which`, `diff`, `rm`,
//! `tag`, `prune`, `save`, `load`.
//!
//! Output, titles and exit statuses are Docker's where Docker has the command; the answers of a real
//! docker are in the tests. What several of them list is in [`rows`].

pub mod diff;
pub mod history;
pub mod inspect;
pub mod layers;
pub mod load;
pub mod ls;
pub mod prune;
pub mod pull;
pub mod rm;
pub mod rows;
pub mod save;
pub mod tag;
pub mod which;
