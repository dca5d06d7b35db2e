//! Parts that several pages share.

pub mod connection_banner;
pub mod live_notice;
pub mod page_meta;
pub mod site_header;
pub mod status_badge;
pub mod timestamp;

pub use connection_banner::ConnectionBanner;
pub use live_notice::LiveNotice;
pub use page_meta::PageMeta;
pub use site_header::SiteHeader;
pub use status_badge::StatusBadge;
pub use timestamp::Timestamp;
