//! Parts that several pages share.

mod connection_banner;
mod live_notice;
mod page_meta;
mod site_header;
mod status_badge;
mod timestamp;

pub use connection_banner::ConnectionBanner;
pub use live_notice::LiveNotice;
pub use page_meta::PageMeta;
pub use site_header::SiteHeader;
pub use status_badge::StatusBadge;
pub use timestamp::Timestamp;
