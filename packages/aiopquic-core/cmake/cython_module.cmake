# aiopq_cython_module(NAME SOURCE PACKAGE INCLUDE_DIRECTORY...): one .pyx is one extension.
function(aiopq_cython_module name source package)
  cython_transpile("${source}" LANGUAGE C MODULE_NAME "${package}.${name}"
    INCLUDE_DIRECTORIES ${ARGN} OUTPUT_VARIABLE generated)
  python_add_library(${name} MODULE "${generated}" WITH_SOABI)
  # Generated code is not held to the warnings of code that people write.
  target_compile_options(${name} PRIVATE -w)
  set_target_properties(${name} PROPERTIES C_VISIBILITY_PRESET hidden)
endfunction()
