//! Recurring series: slots, instances, exceptions.
