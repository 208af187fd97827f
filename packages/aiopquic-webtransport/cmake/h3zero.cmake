# The target h3zero: picoquic's HTTP/3 and WebTransport as a static library of this build.
# Its sources share private structures with picoquic, so they have to be those that the
# core at hand was built from.
set(third_party "${CMAKE_CURRENT_LIST_DIR}/../third_party")
if(NOT EXISTS "${third_party}")
  set(third_party "${CMAKE_CURRENT_LIST_DIR}/../../../third_party")
endif()
include("${third_party}/AiopqThirdParty.cmake")
aiopq_fetch_sources(picoquic)
if(NOT AIOPQ_PICOQUIC_DIGEST STREQUAL aiopquic_PICOQUIC_DIGEST)
  message(FATAL_ERROR
    "aiopquic-core was built from picoquic ${aiopquic_PICOQUIC_COMMIT}, and here are the "
    "sources of ${AIOPQ_PICOQUIC_COMMIT}: build both from the same ones.")
endif()

set(picohttp "${AIOPQ_PICOQUIC_DIR}/picohttp")
add_library(h3zero STATIC
  ${picohttp}/h3zero.c ${picohttp}/h3zero_common.c ${picohttp}/h3zero_client.c
  ${picohttp}/h3zero_server.c ${picohttp}/h3zero_uri.c ${picohttp}/h3zero_url_template.c
  ${picohttp}/webtransport.c)
target_include_directories(h3zero SYSTEM PUBLIC "${picohttp}")
target_link_libraries(h3zero PUBLIC aiopquic::aiopquic)
target_compile_options(h3zero PRIVATE -w)
target_compile_definitions(h3zero PRIVATE _GNU_SOURCE)
set_target_properties(h3zero PROPERTIES
  C_STANDARD 11 C_EXTENSIONS ON C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
