"""Who a client says it is, who it turns out to be, and until when: `Credentials`, `Identity`."""
