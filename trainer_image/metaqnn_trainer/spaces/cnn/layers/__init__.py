"""The built-in layer kinds, a module each, found by listing the package. PLUGIN is the kind's class; its builder, which
needs torch, is the module of the same name in metaqnn_trainer.modules.
"""
