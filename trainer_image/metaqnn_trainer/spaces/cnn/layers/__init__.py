"""The layer kinds that are built in, a module each, found by looking. PLUGIN is the kind's class; its builder, which
needs torch, is the module of the same name in metaqnn_trainer.modules."""
