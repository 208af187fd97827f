# aiopq_third_party(): fetches (if need be), builds (if need be) and imports picoquic and
# picotls. The archives are cached in a folder whose name is a digest of everything that
# goes into them, so that three Pythons and every build folder share one compilation.
#
# Read:   AIOPQ_SANITIZE (OFF, address, thread), AIOPQ_THREAD_CHECK, CMAKE_BUILD_TYPE,
#         Python_EXECUTABLE or Python3_EXECUTABLE; the environment variable
#         AIOPQUIC_BUILD_CACHE moves the cache.
# Set:    the targets aiopq::picoquic (link it; headers and definitions come with it) and
#         aiopq::picoquic_headers (headers and definitions alone); AIOPQ_PICOQUIC_DIR,
#         AIOPQ_PICOQUIC_COMMIT, AIOPQ_PICOTLS_COMMIT, AIOPQ_PICOQUIC_DIGEST,
#         AIOPQ_PICOQUIC_DEFINITIONS, AIOPQ_BUILD_ID, AIOPQ_ARCHIVES_DIR.

set(AIOPQ_THIRD_PARTY_DIR "${CMAKE_CURRENT_LIST_DIR}")

# A build must not go on with headers of other sources than its archive: what decides about the sources
# configures again when it changes.
file(GLOB aiopq_patches CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/patches/*.patch")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${aiopq_patches} "${CMAKE_CURRENT_LIST_DIR}/pins.json" "${CMAKE_CURRENT_LIST_DIR}/fetch.py"
  "${CMAKE_CURRENT_LIST_DIR}/patching.py")

# Runs fetch.py; sets AIOPQ_<TREE>_DIR, _COMMIT and _DIGEST for every tree in ARGN.
macro(aiopq_fetch_sources)
  if(Python_EXECUTABLE)
    set(aiopq_python "${Python_EXECUTABLE}")
  else()
    find_package(Python3 COMPONENTS Interpreter REQUIRED)
    set(aiopq_python "${Python3_EXECUTABLE}")
  endif()
  execute_process(
    COMMAND "${aiopq_python}" "${AIOPQ_THIRD_PARTY_DIR}/fetch.py" --need ${ARGN}
    OUTPUT_VARIABLE aiopq_found RESULT_VARIABLE aiopq_status)
  if(NOT aiopq_status EQUAL 0)
    message(FATAL_ERROR "The third-party sources could not be had: the reason is above.")
  endif()
  foreach(aiopq_tree ${ARGN})
    string(TOUPPER ${aiopq_tree} aiopq_upper)
    string(JSON AIOPQ_${aiopq_upper}_DIR GET "${aiopq_found}" ${aiopq_tree} dir)
    string(JSON AIOPQ_${aiopq_upper}_COMMIT GET "${aiopq_found}" ${aiopq_tree} commit)
    string(JSON AIOPQ_${aiopq_upper}_DIGEST GET "${aiopq_found}" ${aiopq_tree} built)
  endforeach()
endmacro()

# How the variant at hand compiles picoquic and picotls.
macro(aiopq_choose_variant)
  # These reach picoquic's headers too, so everything that includes them sees the same ones.
  set(AIOPQ_PICOQUIC_DEFINITIONS PICOQUIC_WITH_POLL DISABLE_DEBUG_PRINTF)
  # Its log points are process-wide and written without synchronisation from every thread that
  # uses TLS; nobody reads them here.
  list(APPEND AIOPQ_PICOQUIC_DEFINITIONS PTLS_HAVE_LOG=0)
  set(aiopq_hidden "")
  if(AIOPQ_THREAD_CHECK)
    list(APPEND AIOPQ_PICOQUIC_DEFINITIONS PICOQUIC_WITH_THREAD_CHECK)
  endif()
  string(TOLOWER "${CMAKE_BUILD_TYPE}" aiopq_type)
  set(aiopq_fusion OFF)
  if(AIOPQ_SANITIZE)
    # Addresses and races in picoquic are looked for; its own undefined arithmetic is not.
    set(aiopq_flags -O1 -g -fno-omit-frame-pointer -fsanitize=${AIOPQ_SANITIZE})
  elseif(aiopq_type STREQUAL "debug")
    set(aiopq_flags -O1 -g -fno-omit-frame-pointer)
  else()
    # The flags of picoquic's own build.
    set(aiopq_flags -O3 -fno-signed-zeros -fno-trapping-math)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
      list(APPEND aiopq_flags -frename-registers)
    endif()
    set(aiopq_hidden NDEBUG)
    # Assertions are on in the other variants, and fusion has functions that are nothing
    # but a failing assertion: there the OpenSSL ciphers serve alone.
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
      set(aiopq_fusion ON)
    endif()
  endif()
  if(NOT aiopq_fusion)
    list(APPEND AIOPQ_PICOQUIC_DEFINITIONS PTLS_WITHOUT_FUSION)
  endif()
  list(SORT AIOPQ_PICOQUIC_DEFINITIONS)
endmacro()

function(aiopq_build_archives folder)
  find_program(AIOPQ_CCACHE ccache)
  set(launcher "")
  if(AIOPQ_CCACHE)
    set(launcher "-DCMAKE_C_COMPILER_LAUNCHER=${AIOPQ_CCACHE}")
  endif()
  string(REPLACE ";" "\\;" flags "${aiopq_flags}")
  string(REPLACE ";" "\\;" definitions "${AIOPQ_PICOQUIC_DEFINITIONS};${aiopq_hidden}")
  message(STATUS "building picoquic and picotls in ${folder} (once; about a minute or two)")
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -S "${AIOPQ_THIRD_PARTY_DIR}" -B "${folder}"
      -G "${CMAKE_GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}"
      "-DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}" -DCMAKE_BUILD_TYPE=None ${launcher}
      "-DOPENSSL_ROOT_DIR=${OPENSSL_ROOT_DIR}"
      "-DOPENSSL_INCLUDE_DIR=${OPENSSL_INCLUDE_DIR}"
      "-DAIOPQ_PICOQUIC_DIR=${AIOPQ_PICOQUIC_DIR}" "-DAIOPQ_PICOTLS_DIR=${AIOPQ_PICOTLS_DIR}"
      "-DAIOPQ_TP_FLAGS=${flags}" "-DAIOPQ_TP_DEFINITIONS=${definitions}"
      "-DAIOPQ_TP_FUSION=${aiopq_fusion}"
    COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND "${CMAKE_COMMAND}" --build "${folder}" COMMAND_ERROR_IS_FATAL ANY)
  file(TOUCH "${folder}/complete")
endfunction()

macro(aiopq_third_party)
  aiopq_fetch_sources(picoquic picotls)
  aiopq_choose_variant()
  find_package(OpenSSL 3.0 REQUIRED)
  find_package(Threads REQUIRED)

  file(SHA256 "${AIOPQ_THIRD_PARTY_DIR}/CMakeLists.txt" aiopq_lists)
  set(aiopq_parts ${AIOPQ_PICOQUIC_DIGEST} ${AIOPQ_PICOTLS_DIGEST} ${aiopq_lists}
    ${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION} ${CMAKE_SYSTEM_NAME}
    ${CMAKE_SYSTEM_PROCESSOR} "$ENV{CFLAGS}" ${OPENSSL_VERSION} ${OPENSSL_INCLUDE_DIR}
    ${aiopq_flags} ${aiopq_hidden} ${AIOPQ_PICOQUIC_DEFINITIONS})
  string(SHA256 aiopq_key "${aiopq_parts}")
  string(SUBSTRING "${aiopq_key}" 0 16 aiopq_key)

  if(DEFINED ENV{AIOPQUIC_BUILD_CACHE})
    set(aiopq_cache "$ENV{AIOPQUIC_BUILD_CACHE}")
  else()
    set(aiopq_cache "${AIOPQ_THIRD_PARTY_DIR}/.build")
  endif()
  set(AIOPQ_ARCHIVES_DIR "${aiopq_cache}/${aiopq_key}/lib")
  if(NOT EXISTS "${aiopq_cache}/${aiopq_key}/complete")
    # A second build that comes meanwhile waits here, and then finds the work done.
    file(MAKE_DIRECTORY "${aiopq_cache}")
    file(LOCK "${aiopq_cache}/${aiopq_key}.lock" GUARD PROCESS TIMEOUT 1800)
    if(NOT EXISTS "${aiopq_cache}/${aiopq_key}/complete")
      aiopq_build_archives("${aiopq_cache}/${aiopq_key}")
    endif()
    file(LOCK "${aiopq_cache}/${aiopq_key}.lock" RELEASE)
  endif()

  string(REPLACE ";" "," aiopq_definitions "${AIOPQ_PICOQUIC_DEFINITIONS}")
  # The start of the digest tells whether our patches are in.
  string(SUBSTRING "${AIOPQ_PICOQUIC_DIGEST}" 0 8 aiopq_digest)
  set(AIOPQ_BUILD_ID
    "picoquic ${AIOPQ_PICOQUIC_COMMIT}+${aiopq_digest} picotls ${AIOPQ_PICOTLS_COMMIT} ${aiopq_definitions}")

  add_library(aiopq_picoquic_headers INTERFACE)
  add_library(aiopq::picoquic_headers ALIAS aiopq_picoquic_headers)
  # SYSTEM: our warnings are not for their headers.
  target_include_directories(aiopq_picoquic_headers SYSTEM INTERFACE
    "${AIOPQ_PICOQUIC_DIR}/picoquic" "${AIOPQ_PICOQUIC_DIR}/loglib"
    "${AIOPQ_PICOTLS_DIR}/include")
  target_compile_definitions(aiopq_picoquic_headers INTERFACE ${AIOPQ_PICOQUIC_DEFINITIONS})

  set(aiopq_archives "")
  foreach(aiopq_name picotls-openssl picotls-minicrypto picotls-core)
    list(APPEND aiopq_archives "${AIOPQ_ARCHIVES_DIR}/lib${aiopq_name}.a")
  endforeach()
  if(aiopq_fusion)
    list(APPEND aiopq_archives "${AIOPQ_ARCHIVES_DIR}/libpicotls-fusion.a")
  endif()
  set(aiopq_quic "${AIOPQ_ARCHIVES_DIR}/libpicoquic-core.a" "${AIOPQ_ARCHIVES_DIR}/libpicoquic-log.a")
  # The archives refer to each other: one group. The shared library takes picoquic whole,
  # because the WebTransport wheel calls functions in it that the engine does not.
  foreach(aiopq_form picoquic picoquic_whole)
    add_library(aiopq_${aiopq_form} INTERFACE)
    add_library(aiopq::${aiopq_form} ALIAS aiopq_${aiopq_form})
    set(aiopq_linked ${aiopq_quic})
    if(aiopq_form STREQUAL "picoquic_whole")
      set(aiopq_linked -Wl,--whole-archive ${aiopq_quic} -Wl,--no-whole-archive)
    endif()
    target_link_libraries(aiopq_${aiopq_form} INTERFACE aiopq_picoquic_headers
      -Wl,--start-group ${aiopq_linked} ${aiopq_archives} -Wl,--end-group
      OpenSSL::SSL OpenSSL::Crypto Threads::Threads ${CMAKE_DL_LIBS} m)
  endforeach()
endmacro()
